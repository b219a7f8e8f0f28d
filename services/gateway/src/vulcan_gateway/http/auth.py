"""No call but health works without a key: checked before anything else of a request is looked at."""

from typing import Any, Final

from litestar import Request
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from vulcan_chassis.problem_handlers import problem_response
from vulcan_chassis.problems import ProblemError
from vulcan_eventstore.errors import EventStoreUnavailableError
from vulcan_gateway.domain.principal import Principal
from vulcan_gateway.keyring import Keyring

PUBLIC_PATHS: Final = frozenset({"/healthz", "/readyz"})
_BEARER: Final = "bearer "


class Authentication:
    """ASGI middleware that puts the caller, a `Principal`, into the scope as `user`."""

    def __init__(self, app: ASGIApp, keyring: Keyring) -> None:
        self._app = app
        self._keyring = keyring

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through with its caller, or answer it here."""
        if scope["type"] != ScopeType.HTTP or scope["path"] in PUBLIC_PATHS:
            await self._app(scope, receive, send)
            return
        try:
            scope["user"] = await self._principal(scope)
        except ProblemError as error:
            request: Request[Any, Any, Any] = Request(scope)
            response = problem_response(request, error).to_asgi_response(app=None, request=request)
            await response(scope, receive, send)
            return
        await self._app(scope, receive, send)

    async def _principal(self, scope: Scope) -> Principal:
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        if len(given) != 1:
            raise _unauthorized("Send one header, Authorization: Bearer vk_...")
        text = given[0].decode("latin-1")
        if not text.lower().startswith(_BEARER):
            raise _unauthorized("Only the scheme Bearer is known.")
        try:
            key = await self._keyring.authenticate(text[len(_BEARER) :].strip())
        except EventStoreUnavailableError as error:
            raise ProblemError(
                503,
                "event_log_unavailable",
                "The key cannot be checked now.",
                headers={"Retry-After": "1"},
            ) from error
        if key is None:
            raise _unauthorized("The key is unknown or was revoked.")
        return Principal(key)


def _unauthorized(detail: str) -> ProblemError:
    return ProblemError(401, "unauthorized", detail, headers={"WWW-Authenticate": 'Bearer realm="vulcan"'})
