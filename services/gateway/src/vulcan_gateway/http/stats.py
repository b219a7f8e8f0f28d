"""Counts and quantiles of the caller's tenant."""

from datetime import timedelta
from typing import Annotated, Final

from litestar import Response
from msgspec import Meta, Struct

from vulcan_contracts.clock import utc_now
from vulcan_contracts.views import Stats
from vulcan_gateway.db.stats import read_stats
from vulcan_gateway.http.calls import Call, Gateway, answer, query
from vulcan_gateway.http.operations import operation


class StatsQuery(Struct, frozen=True, kw_only=True):
    """`window_s`: only workloads submitted in the last so many seconds; without it, all."""

    window_s: Annotated[float, Meta(gt=0, le=315_360_000)] | None = None


@operation(
    "GET",
    "/v1/stats",
    summary="What each backend did",
    tag="stats",
    query=StatsQuery,
    answers={200: (Stats,)},
    refusals=("invalid_parameter", "projection_unavailable"),
)
async def stats(request: Call, gateway: Gateway) -> Response[bytes]:
    """Counts by state and reason, and quantiles of durations, as far as workloads are projected."""
    window_s = query(request, StatsQuery).window_s
    since = None if window_s is None else utc_now() - timedelta(seconds=window_s)
    return answer(await read_stats(gateway.database, request.user.tenant, since, window_s))


HANDLERS: Final = [stats]
