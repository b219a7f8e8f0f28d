"""Which methods a path has: for OPTIONS, and for the Allow header of a 405 (RFC 9110)."""

import re
from collections.abc import Iterable
from typing import Any

from litestar.enums import ScopeType
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp, Receive, Scope, Send

from vulcan_gateway.http.operations import OPERATION, Operation

_PARAMETER = re.compile(r"\\{\w+:(\w+)\\}")


class Methods:
    """The methods of every route."""

    def __init__(self, handlers: Iterable[HTTPRouteHandler]) -> None:
        methods: dict[str, set[str]] = {}
        for handler in handlers:
            declared: Operation = handler.opt[OPERATION]
            methods.setdefault(declared.path, {"OPTIONS"}).add(declared.method)
        self._routes = [
            (re.compile(_PARAMETER.sub(_any, re.escape(path))), ", ".join(sorted(found)))
            for path, found in sorted(methods.items(), key=lambda item: item[0].count("{"))
        ]

    def allowed(self, path: str) -> str | None:
        """The value of an Allow header; None where there is no such path."""
        path = path.rstrip("/") or "/"
        return next((allow for pattern, allow in self._routes if pattern.fullmatch(path)), None)


def _any(parameter: re.Match[str]) -> str:
    return ".+" if parameter[1] == "path" else "[^/]+"


class AnswerOptions:
    """ASGI middleware that answers OPTIONS and adds Allow to every 405."""

    def __init__(self, app: ASGIApp, methods: Methods) -> None:
        self._app = app
        self._methods = methods

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer here what is about methods only."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        if scope["method"] == "OPTIONS" and (allow := self._methods.allowed(path)) is not None:
            await send({"type": "http.response.start", "status": 204, "headers": [(b"allow", allow.encode())]})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return

        async def send_with_allow(message: Any) -> None:
            if message["type"] == "http.response.start" and message["status"] == 405:
                allow = self._methods.allowed(path)
                if allow is not None:
                    others = [pair for pair in message.get("headers", []) if pair[0].lower() != b"allow"]
                    message = {**message, "headers": [*others, (b"allow", allow.encode())]}
            await send(message)

        await self._app(scope, receive, send_with_allow)
