"""Counts and quantiles, from the projection."""

from collections.abc import Sequence
from datetime import datetime

import asyncpg

from vulcan_contracts.views import BackendStats, Quantiles, Stats
from vulcan_gateway.db.pool import Database

_BACKENDS = """
SELECT backend,
  count(*) FILTER (WHERE state = 'pending') AS pending,
  count(*) FILTER (WHERE state = 'running') AS running,
  count(*) FILTER (WHERE state = 'completed') AS completed,
  count(*) FILTER (WHERE state = 'failed') AS failed,
  count(*) FILTER (WHERE state = 'killed') AS killed,
  percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY total_ms) AS total_ms,
  percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY run_ms) AS run_ms,
  percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY sandbox_ready_ms) AS sandbox_ready_ms
FROM workloads WHERE tenant = $1 AND ($2::timestamptz IS NULL OR submitted_at >= $2)
GROUP BY backend ORDER BY backend NULLS LAST
"""
_REASONS = """
SELECT backend, reason, count(*) AS count FROM workloads
WHERE tenant = $1 AND ($2::timestamptz IS NULL OR submitted_at >= $2) AND reason IS NOT NULL
AND state IN ('failed', 'killed')
GROUP BY backend, reason ORDER BY reason
"""
_NOW = """
SELECT count(*) FILTER (WHERE state = 'pending') AS waiting, count(*) FILTER (WHERE state = 'running') AS running
FROM workloads WHERE tenant = $1 AND state IN ('pending', 'running')
"""


async def read_stats(database: Database, tenant: str, since: datetime | None, window_s: float | None) -> Stats:
    """What the tenant's workloads that were submitted since then came to; waiting and running count all of them.

    Raises:
        ProjectionUnavailableError: Postgres is away.
    """
    backends = await database.fetch(_BACKENDS, tenant, since)
    reasons = await database.fetch(_REASONS, tenant, since)
    (now,) = await database.fetch(_NOW, tenant)
    return Stats(
        window_s=window_s,
        backends=[_backend(row, reasons) for row in backends],
        waiting=now["waiting"],
        running=now["running"],
    )


def _backend(row: asyncpg.Record, reasons: Sequence[asyncpg.Record]) -> BackendStats:
    return BackendStats(
        backend=row["backend"],
        pending=row["pending"],
        running=row["running"],
        completed=row["completed"],
        failed=row["failed"],
        killed=row["killed"],
        reasons={r["reason"]: r["count"] for r in reasons if r["backend"] == row["backend"]},
        total_ms=_quantiles(row["total_ms"]),
        run_ms=_quantiles(row["run_ms"]),
        sandbox_ready_ms=_quantiles(row["sandbox_ready_ms"]),
    )


def _quantiles(values: list[float | None] | None) -> Quantiles:
    p50, p95, p99 = (None if each is None else round(each, 3) for each in values or (None, None, None))
    return Quantiles(p50=p50, p95=p95, p99=p99)
