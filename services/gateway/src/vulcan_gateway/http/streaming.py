"""A response that is sent as it comes into being, and let go of at once when the client leaves."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

from litestar import Response
from litestar.response.base import ASGIResponse
from litestar.types import Receive, Scope, Send

from vulcan_chassis import logs


async def client_gone(receive: Receive) -> None:
    """Return when the client has closed the connection. Everything of the body must have been read."""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return


class ByteStream(Response[bytes]):
    """Sends what a generator yields; each piece has to be taken within `send_timeout_s`.

    `closed` is called once the sending is over, however it ended.
    """

    def __init__(
        self,
        body: AsyncGenerator[bytes, None],
        *,
        media_type: str,
        send_timeout_s: float,
        headers: dict[str, str] | None = None,
        closed: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(content=b"", media_type=media_type, headers=headers)
        self._sender = _Sender(body, media_type, headers or {}, send_timeout_s, closed)

    def to_asgi_response(self, *_: Any, **__: Any) -> ASGIResponse:
        """What Litestar calls to send it."""
        return self._sender


class _Sender(ASGIResponse):
    def __init__(
        self,
        body: AsyncGenerator[bytes, None],
        media_type: str,
        headers: dict[str, str],
        send_timeout_s: float,
        closed: Callable[[], None],
    ) -> None:
        super().__init__(media_type=media_type)
        self._pieces = body
        self._head = [(b"content-type", media_type.encode())]
        self._head += [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
        self._send_timeout_s = send_timeout_s
        self._closed = closed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send all of it, or what there is until the client leaves."""
        del scope
        try:
            async with aclosing(self._pieces) as pieces:
                await self._race(pieces, receive, send)
        finally:
            self._closed()

    async def _race(self, pieces: AsyncGenerator[bytes, None], receive: Receive, send: Send) -> None:
        sending = asyncio.ensure_future(self._send_all(pieces, send))
        leaving = asyncio.ensure_future(client_gone(receive))
        try:
            await asyncio.wait([sending, leaving], return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
        finally:
            sending.cancel()
            leaving.cancel()
            await asyncio.gather(sending, leaving, return_exceptions=True)

    async def _send_all(self, pieces: AsyncGenerator[bytes, None], send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self._head})
        async for piece in pieces:
            try:
                async with asyncio.timeout(self._send_timeout_s):
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
            except TimeoutError:
                logs.get().info("cut off a client that left its stream unread", timeout_s=self._send_timeout_s)
                raise
        await send({"type": "http.response.body", "body": b"", "more_body": False})
