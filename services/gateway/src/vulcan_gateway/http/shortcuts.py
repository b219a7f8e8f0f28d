"""Calls whose path has no parameters reach their handler without Litestar's routing, which takes as long as a handler.

Errors are answered by the same handlers, roles are checked by the same guard. Everything else is Litestar's: other
paths, other ways to write a path, methods that a path does not have, a Host header that is none.
"""

import inspect
import re
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any, Final, cast

from litestar import Request, Response
from litestar.enums import ScopeType
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp, ExceptionHandlersMap, Receive, Scope, Send

from vulcan_gateway.http.calls import Call
from vulcan_gateway.http.operations import OPERATION, Operation, require_role
from vulcan_gateway.parts import Parts

Handle = Callable[[Call], Awaitable[Response[bytes]]]
_PLAIN_HOST: Final = re.compile(rb"[A-Za-z0-9.-]{1,255}(:[0-9]{1,5})?")


class Shortcuts:
    """ASGI middleware in front of Litestar."""

    def __init__(
        self,
        app: ASGIApp,
        handlers: Iterable[HTTPRouteHandler],
        parts: Parts,
        error_handlers: ExceptionHandlersMap,
    ) -> None:
        self._app = app
        self._routes: dict[tuple[str, str], tuple[Operation, Handle]] = {
            (declared.method, declared.path): (declared, _bound(handler, parts))
            for handler in handlers
            if _takes_no_more(handler, declared := _declared(handler))
        }
        self._error_handlers = error_handlers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one request."""
        found = self._routes.get((scope["method"], scope["path"])) if scope["type"] == ScopeType.HTTP else None
        if found is None or not _PLAIN_HOST.fullmatch(next((v for k, v in scope["headers"] if k == b"host"), b"")):
            await self._app(scope, receive, send)
            return
        declared, handle = found
        scope["path_template"] = declared.path
        request: Call = Request(scope, receive, send)
        try:
            require_role(declared, scope.get("user"))
            response = await handle(request)
        except Exception as error:  # noqa: BLE001 - all are answered, those that nobody expected too
            response = self._answer(request, error)
        await response.to_asgi_response(app=None, request=request)(scope, receive, send)

    def _answer(self, request: Call, error: Exception) -> Response[bytes]:
        kind = next(kind for kind in type(error).__mro__ if kind in self._error_handlers)
        answer: Response[bytes] = self._error_handlers[kind](request, error)
        return answer


def _declared(handler: HTTPRouteHandler) -> Operation:
    declared: Operation = handler.opt[OPERATION]
    return declared


def _takes_no_more(handler: HTTPRouteHandler, declared: Operation) -> bool:
    """Than the request and the collaborators, both of which are at hand."""
    taken = inspect.signature(cast("Callable[..., Any]", handler.fn)).parameters
    return "{" not in declared.path and set(taken) == {"request", "gateway"}


def _bound(handler: HTTPRouteHandler, parts: Parts) -> Handle:
    function: Callable[..., Awaitable[Response[bytes]]] = handler.fn
    return partial(function, gateway=parts)
