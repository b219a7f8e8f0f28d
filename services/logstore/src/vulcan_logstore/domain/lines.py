"""From log batches to rows of `log_lines`, and how many of them go into one transaction."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple

from vulcan_contracts.logs import LogBatch
from vulcan_eventstore.records import StoredBatch
from vulcan_logstore.domain.project import utc
from vulcan_logstore.domain.text import clean


class LineRow(NamedTuple):
    """One row of `log_lines`; the fields are the columns, in this order."""

    expires_on: date
    tenant: str
    workload_id: str
    seq: int
    time: datetime
    stream: str
    text: str
    partial: bool


def line_rows(batches: Iterable[LogBatch], *, retention_days: Callable[[str], int], today: date) -> list[LineRow]:
    """The rows of these batches, without those whose day to go is over already."""
    rows: list[LineRow] = []
    for batch in batches:
        kept = timedelta(days=retention_days(batch.tenant))
        tenant, workload_id = clean(batch.tenant), clean(batch.workload_id)
        for line in batch.lines:
            time = utc(line.time)
            expires_on = time.date() + kept
            if expires_on >= today:
                text = clean(line.text)
                rows.append(LineRow(expires_on, tenant, workload_id, line.seq, time, line.stream, text, line.partial))
    return rows


def split(batches: Sequence[StoredBatch], *, max_lines: int, max_chars: int) -> Iterator[list[StoredBatch]]:
    """The batches in parts that one transaction takes, each at least one batch, in order."""
    part: list[StoredBatch] = []
    lines = chars = 0
    for stored in batches:
        more_lines = len(stored.batch.lines)
        more_chars = sum(len(line.text) for line in stored.batch.lines)
        if part and (lines + more_lines > max_lines or chars + more_chars > max_chars):
            yield part
            part, lines, chars = [], 0, 0
        part.append(stored)
        lines += more_lines
        chars += more_chars
    if part:
        yield part
