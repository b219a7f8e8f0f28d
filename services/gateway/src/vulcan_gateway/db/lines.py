"""Log lines that are projected."""

from vulcan_contracts.logs import LogLine
from vulcan_gateway.db.pool import Database
from vulcan_gateway.domain.filters import LineFilter

_LINES = """
SELECT seq, time, stream, text, partial FROM log_lines
WHERE tenant = $1 AND workload_id = $2 AND seq > $3
ORDER BY seq LIMIT $4
"""
_LAST = "SELECT coalesce(max(seq), 0) AS last FROM log_lines WHERE tenant = $1 AND workload_id = $2"
_MATCHES = """
SELECT seq, time, stream, text, partial FROM log_lines
WHERE tenant = $1 AND workload_id = $2 AND seq > $3 AND seq <= $4
AND ($5::text IS NULL OR stream = $5) AND ($6::text IS NULL OR strpos(text, $6) > 0)
AND ($7::timestamptz IS NULL OR time >= $7)
ORDER BY seq LIMIT $8
"""


class ProjectedLines:
    """A workload's log lines as far as they are projected.

    Every method raises `ProjectionUnavailableError` while Postgres is away.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self, tenant: str, workload_id: str, after: int, limit: int) -> list[LogLine]:
        """Lines in order; there may be later ones that are not projected yet."""
        rows = await self._database.fetch(_LINES, tenant, workload_id, after, limit)
        return [LogLine(**row) for row in rows]

    async def last(self, tenant: str, workload_id: str) -> int:
        """The last line that is projected; 0 if none is."""
        (row,) = await self._database.fetch(_LAST, tenant, workload_id)
        return int(row["last"])

    async def search(
        self, tenant: str, workload_id: str, after: int, upto: int, only: LineFilter, limit: int
    ) -> list[LogLine]:
        """The wanted lines among those from after `after` to `upto`, in order."""
        rows = await self._database.fetch(
            _MATCHES, tenant, workload_id, after, upto, only.stream, only.search, only.since, limit
        )
        return [LogLine(**row) for row in rows]
