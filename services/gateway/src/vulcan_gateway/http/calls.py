"""What every handler needs of a request and for an answer."""

from typing import Annotated, Any, Final, TypeVar

import msgspec
from litestar import Request, Response
from litestar.datastructures import State
from litestar.di import Dependency
from litestar.params import FromPath, SkipValidationMarker
from litestar.response.base import ASGIResponse
from litestar.types import Receive, Scope, Send
from msgspec import Struct

from vulcan_contracts.ids import WORKLOAD_ID
from vulcan_eventstore.workload_log import Tracked
from vulcan_gateway.domain import parameters
from vulcan_gateway.domain.principal import Principal
from vulcan_gateway.domain.refusals import unknown_workload
from vulcan_gateway.parts import Parts

Call = Request[Principal, Any, State]
Gateway = Annotated[Parts, Dependency(), SkipValidationMarker()]
"""The gateway's collaborators, as Litestar hands them to a handler's parameter `gateway`."""

PathText = FromPath[str]
"""A part of the path."""

Q = TypeVar("Q", bound=Struct)
JSON: Final = "application/json"
_encoder: Final = msgspec.json.Encoder()


def answer(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response[bytes]:
    """A JSON answer."""
    return _Whole(_encoder.encode(value), status, headers)


class _Whole(Response[bytes]):
    """An answer that is there already: sent as it is, past what Litestar would do to make one."""

    def __init__(self, body: bytes, status: int, headers: dict[str, str] | None) -> None:
        super().__init__(content=body, status_code=status, media_type=JSON, headers=headers)

    def to_asgi_response(self, *_: Any, **__: Any) -> ASGIResponse:
        """What Litestar calls to send it."""
        return _Sender(self.content, self.status_code or 200, self.headers)


class _Sender(ASGIResponse):
    def __init__(self, body: bytes, status: int, headers: dict[str, str]) -> None:
        self._body = body
        self._start: Any = {
            "type": "http.response.start",
            "status": status,
            "headers": [
                *((name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()),
                (b"content-type", b"application/json"),
                (b"content-length", b"%d" % len(body)),
            ],
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        del scope, receive
        await send(self._start)
        await send({"type": "http.response.body", "body": self._body, "more_body": False})


def nothing() -> Response[bytes]:
    """An answer without content."""
    return Response(content=b"", status_code=204)


def query(call: Call, declared: type[Q]) -> Q:
    """The query parameters, as the call declares them.

    Raises:
        Refusal: `invalid_parameter`.
    """
    if not call.scope["query_string"]:
        none: Q = parameters.none(declared)
        return none
    return parameters.read(call.query_params.multi_items(), declared)


def header(call: Call, name: bytes) -> str:
    """The first request header of this name, in lower case; empty if there is none."""
    return next(iter(headers(call, name)), "")


def headers(call: Call, name: bytes) -> list[str]:
    """All request headers of this name, in lower case."""
    return [str(value, "latin-1") for given, value in call.scope["headers"] if given == name]


class NoQuery(Struct, frozen=True):
    """A call without query parameters."""


async def find(gateway: Parts, call: Call, workload_id: str) -> Tracked:
    """The caller's workload of this id, as the log has it now.

    Raises:
        Refusal: `not_found`; also for what belongs to another tenant, and for what is no id.
    """
    if not WORKLOAD_ID.fullmatch(workload_id):
        raise unknown_workload()
    tracked = await gateway.patience.read(lambda: gateway.log.load(call.user.tenant, workload_id))
    if tracked is None:
        raise unknown_workload()
    return tracked
