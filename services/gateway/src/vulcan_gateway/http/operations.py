"""Declaring a call: its route, who may use it, what it takes and answers. Enforcement and the API's document both
read this declaration, so that neither can drift from the other.
"""

from collections.abc import Callable
from typing import Any, Final, Literal, TypeVar

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from msgspec import Struct

from vulcan_contracts.tenants import Role
from vulcan_gateway.domain import sse
from vulcan_gateway.domain.principal import Principal

Method = Literal["GET", "POST", "PUT", "DELETE"]
F = TypeVar("F", bound=Callable[..., Any])

OPERATION: Final = "operation"


class Media(Struct, frozen=True):
    """An answer that is not plain JSON: its media type and what it says, in the document's words."""

    media_type: str
    schema: dict[str, Any]
    description: str = ""


Answer = type[Struct] | Media | None


def messages(*events: str, description: str) -> Media:
    """An answer that is a stream of server-sent events. Its schema is that of each message, which is what generators
    of clients take it for; what `data` holds is JSON."""
    each = {
        "type": "object",
        "required": ["event", "data"],
        "properties": {
            "id": {"type": "string", "pattern": "^[0-9]+$"},
            "event": {"enum": list(events)},
            "data": {"type": "string", "contentMediaType": "application/json"},
        },
    }
    return Media(sse.MEDIA_TYPE, each, description)


class Operation(Struct, frozen=True, kw_only=True):
    """One call.

    role: None means any key. platform: for keys of the default tenant only. answers: by status, each with its possible
    forms. refusals: codes beside those that every call may answer.
    """

    method: Method
    path: str
    name: str
    summary: str
    tag: str
    role: Role | None
    platform: bool
    public: bool
    query: type[Struct] | None
    body: type[Struct] | None
    body_optional: bool
    multipart: bool
    headers: tuple[str, ...]
    answers: dict[int, tuple[Answer, ...]]
    refusals: tuple[str, ...]


def operation(
    method: Method,
    path: str,
    *,
    summary: str,
    tag: str,
    role: Role | None = "reader",
    platform: bool = False,
    public: bool = False,
    query: type[Struct] | None = None,
    body: type[Struct] | None = None,
    body_optional: bool = False,
    multipart: bool = False,
    headers: tuple[str, ...] = (),
    answers: dict[int, tuple[Answer, ...]],
    refusals: tuple[str, ...] = (),
) -> Callable[[F], HTTPRouteHandler]:
    """Make a handler of a function."""

    def make(function: F) -> HTTPRouteHandler:
        declared = Operation(
            method=method,
            path=path,
            name=function.__name__,
            summary=summary,
            tag=tag,
            role=role,
            platform=platform,
            public=public,
            query=query,
            body=body,
            body_optional=body_optional,
            multipart=multipart,
            headers=headers,
            answers=answers,
            refusals=refusals,
        )
        decorate = _Handler(
            path,
            http_method=method,
            guards=[_may_call],
            opt={OPERATION: declared},
            include_in_schema=False,
            status_code=200,  # of the declaration only: every answer carries its own
        )
        return decorate(function)

    return make


class _Handler(HTTPRouteHandler):
    """Runs its guard as it is: Litestar gives each guard of each request a copy of the handler."""

    async def authorize_connection(self, connection: ASGIConnection[Any, Any, Any, Any]) -> None:
        await _may_call(connection, self)


async def _may_call(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """A Litestar guard: the caller's role suffices for the call. Asynchronous, or Litestar would run it in a thread."""
    require_role(handler.opt[OPERATION], connection.scope.get("user"))


def require_role(declared: Operation, principal: Principal | None) -> None:
    """Refuse a caller whose role does not suffice for the call.

    Raises:
        Refusal: `forbidden`.
    """
    if declared.public or principal is None:
        return
    if declared.role is not None:
        principal.require(declared.role)
    if declared.platform:
        principal.require_default_tenant()
