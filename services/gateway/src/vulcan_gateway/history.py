"""Log lines of the past: from Postgres as far as it has them, beyond that (or while it is away) from the log stream."""

from typing import Final, NamedTuple, Protocol

from vulcan_contracts.logs import LogLine
from vulcan_gateway.db.pool import ProjectionUnavailableError
from vulcan_gateway.domain.filters import ALL_LINES, LineFilter
from vulcan_gateway.domain.output import Output, OutputCollector

SCAN_LINES: Final = 1000
MAX_SCANS: Final = 16
OUTPUT_SCANS: Final = 6
MAX_PAGE_BYTES: Final = 2 * 1024 * 1024


class LinePage(NamedTuple):
    """Wanted lines in order. `position` is how far was looked; `more`: there may be further lines already."""

    lines: list[LogLine]
    position: int
    more: bool


class Table(Protocol):
    """What `db.lines.ProjectedLines` is."""

    async def read(self, tenant: str, workload_id: str, after: int, limit: int) -> list[LogLine]:
        """See `ProjectedLines.read`."""
        ...

    async def last(self, tenant: str, workload_id: str) -> int:
        """See `ProjectedLines.last`."""
        ...

    async def search(
        self, tenant: str, workload_id: str, after: int, upto: int, only: LineFilter, limit: int
    ) -> list[LogLine]:
        """See `ProjectedLines.search`."""
        ...


class LogStream(Protocol):
    """What the event store's `LogReader` is."""

    async def read(self, tenant: str, workload_id: str, *, after_line: int = 0, limit: int = 1000) -> list[LogLine]:
        """See `LogReader.read`."""
        ...

    async def last_line(self, tenant: str, workload_id: str) -> int:
        """See `LogReader.last_line`."""
        ...


class LogHistory:
    """Reads stored lines. Postgres being away is not an error here."""

    def __init__(self, table: Table, stream: LogStream) -> None:
        self._table = table
        self._stream = stream

    async def page(
        self, tenant: str, workload_id: str, *, after: int, limit: int, only: LineFilter = ALL_LINES
    ) -> LinePage:
        """Up to `limit` wanted lines after line `after`; fewer, with `more`, if they are long.

        Raises:
            EventStoreUnavailableError: NATS is away, and Postgres does not have all that was asked for.
        """
        try:
            projected = await self._projected(tenant, workload_id, after, limit, only)
        except ProjectionUnavailableError:
            projected = LinePage([], after, more=False)
        if len(projected.lines) >= limit:
            return _bounded(projected)
        rest = await self._stored(tenant, workload_id, projected.position, limit - len(projected.lines), only)
        return _bounded(LinePage(projected.lines + rest.lines, rest.position, rest.more))

    async def _projected(self, tenant: str, workload_id: str, after: int, limit: int, only: LineFilter) -> LinePage:
        if only.everything:
            lines = await self._table.read(tenant, workload_id, after, limit)
            return LinePage(lines, lines[-1].seq if lines else after, len(lines) >= limit)
        # The end is read first: what is projected in between is then left to the log stream, not skipped.
        upto = await self._table.last(tenant, workload_id)
        lines = await self._table.search(tenant, workload_id, after, upto, only, limit)
        if len(lines) >= limit:
            return LinePage(lines, lines[-1].seq, more=True)
        return LinePage(lines, max(after, upto), more=False)

    async def _stored(self, tenant: str, workload_id: str, after: int, limit: int, only: LineFilter) -> LinePage:
        found: list[LogLine] = []
        position = after
        for _ in range(MAX_SCANS):
            asked = limit if only.everything else SCAN_LINES
            lines = await self._stream.read(tenant, workload_id, after_line=position, limit=asked)
            for line in lines:
                position = line.seq
                if only.wants(line):
                    found.append(line)
                    if len(found) >= limit:
                        return LinePage(found, position, more=True)
            if len(lines) < asked:
                return LinePage(found, position, more=False)
        return LinePage(found, position, more=True)

    async def last_line(self, tenant: str, workload_id: str) -> int:
        """The newest line; 0 if there is none.

        Raises:
            EventStoreUnavailableError: NATS is away.
        """
        return await self._stream.last_line(tenant, workload_id)

    async def output(self, tenant: str, workload_id: str, *, last_line: int | None, limit_bytes: int) -> Output:
        """The first part of what was printed; `last_line` is the end if that is known."""
        collector = OutputCollector(limit_bytes)
        position = 0
        for _ in range(OUTPUT_SCANS):
            if last_line is not None and position >= last_line:
                return collector.output()
            lines = await self._stream.read(tenant, workload_id, after_line=position, limit=SCAN_LINES)
            collector.add(lines)
            if not lines or collector.full:
                return collector.output()
            position = lines[-1].seq
        collector.cut()
        return collector.output()


def _bounded(page: LinePage) -> LinePage:
    """The page as far as it is not too large to be held for a slow reader; one line at least."""
    total = 0
    for number, line in enumerate(page.lines):
        total += len(line.text)
        if total > MAX_PAGE_BYTES and number > 0:
            return LinePage(page.lines[:number], page.lines[number - 1].seq, more=True)
    return page
