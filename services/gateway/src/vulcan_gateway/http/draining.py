"""What happens to the rest of a body that nobody reads, because the request was refused before its end.

An answer sent while the client still writes is often lost: its connection is reset before it has read. So the rest is
read and dropped, for a while; a client that sends on beyond that is cut off.
"""

import asyncio
from typing import Any, Final

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from vulcan_chassis.direct_body import direct_body

_BODY_HEADERS: Final = frozenset({b"content-length", b"transfer-encoding"})


class DrainBodies:
    """ASGI middleware that finishes reading a request before it is answered, within `limit_bytes` and `timeout_s`."""

    def __init__(self, app: ASGIApp, *, limit_bytes: int, timeout_s: float) -> None:
        self._app = app
        self._limit_bytes = limit_bytes
        self._timeout_s = timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one request; those that are here in full or have no body pass through."""
        if (server := direct_body(scope)) is not None and server.request_received:
            await self._app(scope, receive, send)
            return
        names = {name for name, _ in scope["headers"]} if scope["type"] == ScopeType.HTTP else set()
        if not names & _BODY_HEADERS:
            await self._app(scope, receive, send)
            return
        body = _Body(receive)

        async def finish_reading(message: Any) -> None:
            if message["type"] == "http.response.start" and not body.complete:
                # A client that waits for 100 Continue has sent nothing yet, and need not.
                if b"expect" not in names:
                    await self._drain(body)
                if not body.complete:
                    message = {**message, "headers": [*message.get("headers", []), (b"connection", b"close")]}
            await send(message)

        await self._app(scope, body.receive, finish_reading)

    async def _drain(self, body: "_Body") -> None:
        left = self._limit_bytes
        try:
            async with asyncio.timeout(self._timeout_s):
                while not body.complete and left > 0:
                    left -= len((await body.receive()).get("body", b""))
        except TimeoutError:
            return


class _Body:
    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.complete = False

    async def receive(self) -> Any:
        message = await self._receive()
        if message["type"] != "http.request" or not message.get("more_body", False):
            self.complete = True
        return message
