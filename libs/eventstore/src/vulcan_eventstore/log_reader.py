"""Reads a workload's log lines from the stream itself: what Postgres does not have yet, or cannot give."""

from typing import Final

from msgspec import Struct

from vulcan_contracts import subjects
from vulcan_contracts.logs import LogBatch, LogLine, decode_batch
from vulcan_eventstore import jetstream
from vulcan_eventstore.connection import Bus
from vulcan_eventstore.jetstream import Stored
from vulcan_eventstore.log_tail import find_end

_FIRST_PAGE_BATCHES: Final = 2
_PAGE_BATCHES: Final = 128
_PAGE_BYTES: Final = 4 * 1024 * 1024
_NEAR_LINES: Final = 500


class _Found(Struct, frozen=True):
    seq: int
    batch: LogBatch


class LogReader:
    """Reads by direct get: no consumer, no state at the server."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def last_line(self, tenant: str, workload_id: str) -> int:
        """The number of the newest line; 0 if there is none. Strongly consistent.

        Raises:
            EventStoreUnavailableError: NATS does not answer.
        """
        return (await find_end(self._bus, tenant, workload_id)).line

    async def read(self, tenant: str, workload_id: str, *, after_line: int = 0, limit: int = 1000) -> list[LogLine]:
        """The lines behind `after_line`, oldest first, at most `limit`.

        Fewer than there are only where a replica answers that has yet to catch up; never with a hole, except for lines
        that are past the stream's age.

        Raises:
            EventStoreUnavailableError: NATS does not answer.
        """
        subject = subjects.log(tenant, workload_id)
        seq = await self._find(tenant, workload_id, after_line + 1)
        lines: list[LogLine] = []
        wanted = _FIRST_PAGE_BATCHES
        while seq is not None and len(lines) < limit:
            page = await jetstream.direct_many(
                self._bus, subjects.LOGS_STREAM, subject, from_seq=seq, limit=wanted, max_bytes=_PAGE_BYTES
            )
            for stored in filter(_has_lines, page):
                lines += [line for line in decode_batch(stored.data).lines if line.seq > after_line]
            more = page and page[-1].headers.get("Nats-Num-Pending") != "0"
            seq = page[-1].seq + 1 if more else None
            wanted = min(wanted * 4, _PAGE_BATCHES)
        return lines[:limit]

    async def _find(self, tenant: str, workload_id: str, line: int) -> int | None:
        """The stream sequence to read from to find this line; None if it is not there yet.

        Halves the stream between the workload's first and last batch until few lines are left in between.
        """
        if line <= _NEAR_LINES:
            return 1
        end = await find_end(self._bus, tenant, workload_id)
        if end.batch is None or end.line < line:
            return None
        if end.batch.first <= line:
            return end.lines_seq
        subject, newest = subjects.log(tenant, workload_id), _Found(end.lines_seq, end.batch)
        before = await self._first_from(subject, 1)
        behind = newest
        while before is not None and line - before.batch.last > _NEAR_LINES and behind.seq - before.seq > 1:
            middle = await self._first_from(subject, (before.seq + behind.seq) // 2)
            if middle is None or middle.seq >= behind.seq:
                # Nothing of this workload in the upper half: the batches in between lie in the lower one.
                behind = _Found((before.seq + behind.seq) // 2, behind.batch)
            elif middle.batch.first > line:
                behind = middle
            else:
                before = middle
        return 1 if before is None else before.seq

    async def _first_from(self, subject: str, seq: int) -> _Found | None:
        while True:
            page = await jetstream.direct_many(self._bus, subjects.LOGS_STREAM, subject, from_seq=seq, limit=1)
            if not page:
                return None
            if _has_lines(page[0]):
                return _Found(page[0].seq, decode_batch(page[0].data))
            seq = page[0].seq + 1


def _has_lines(stored: Stored) -> bool:
    """False for what shut out a writer."""
    return bool(stored.data)
