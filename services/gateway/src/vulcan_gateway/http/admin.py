"""Looking after the platform: rebuilding the projections."""

from typing import Final

from litestar import Response

from vulcan_contracts.projections import RebuildStatus
from vulcan_gateway.http.calls import Call, Gateway, NoQuery, PathText, answer, query
from vulcan_gateway.http.operations import operation

TAG: Final = "admin"
_REFUSALS: Final = ("invalid_parameter", "not_found", "projection_unavailable")


@operation(
    "POST",
    "/v1/admin/rebuild",
    summary="Rebuild the projections from the log",
    tag=TAG,
    role="admin",
    platform=True,
    query=NoQuery,
    answers={202: (RebuildStatus,)},
    refusals=_REFUSALS,
)
async def start_rebuild(request: Call, gateway: Gateway) -> Response[bytes]:
    """Reads go on from the old content until the new one is complete. While one goes on, that one is the answer."""
    query(request, NoQuery)
    status = await gateway.rebuilds.start()
    return answer(status, 202, {"Location": f"/v1/admin/rebuild/{status.id}"})


@operation(
    "GET",
    "/v1/admin/rebuild",
    summary="How far the newest rebuild is",
    tag=TAG,
    role="admin",
    platform=True,
    query=NoQuery,
    answers={200: (RebuildStatus,)},
    refusals=_REFUSALS,
)
async def newest_rebuild(request: Call, gateway: Gateway) -> Response[bytes]:
    """The newest one, ended or not."""
    query(request, NoQuery)
    return answer(await gateway.rebuilds.status(None))


@operation(
    "GET",
    "/v1/admin/rebuild/{rebuild_id:str}",
    summary="How far a rebuild is",
    tag=TAG,
    role="admin",
    platform=True,
    query=NoQuery,
    answers={200: (RebuildStatus,)},
    refusals=_REFUSALS,
)
async def one_rebuild(request: Call, gateway: Gateway, rebuild_id: PathText) -> Response[bytes]:
    """One of them by its id."""
    query(request, NoQuery)
    return answer(await gateway.rebuilds.status(rebuild_id))


HANDLERS: Final = [start_rebuild, newest_rebuild, one_rebuild]
