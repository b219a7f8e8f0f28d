"""What every handler needs of a request and for an answer."""

from typing import Annotated, Any, Final, TypeVar

import msgspec
from litestar import Request, Response
from litestar.datastructures import State
from litestar.di import Dependency
from litestar.params import FromPath, SkipValidationMarker
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
    return Response(content=_encoder.encode(value), status_code=status, media_type=JSON, headers=headers)


def nothing() -> Response[bytes]:
    """An answer without content."""
    return Response(content=b"", status_code=204)


def query(call: Call, declared: type[Q]) -> Q:
    """The query parameters, as the call declares them.

    Raises:
        Refusal: `invalid_parameter`.
    """
    return parameters.read(call.query_params.multi_items(), declared)


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
