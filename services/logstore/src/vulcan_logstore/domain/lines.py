"""From log batches to rows of `log_lines`, and how many of them go into one transaction."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple

from vulcan_contracts.logs import LogBatch, LogLine
from vulcan_eventstore.records import StoredBatch
from vulcan_logstore.domain.project import utc
from vulcan_logstore.domain.text import clean, clean_all


class LineRun(NamedTuple):
    """Rows of `log_lines` that differ in their number and text only. The fields are columns."""

    expires_on: date
    tenant: str
    workload_id: str
    time: datetime
    stream: str
    partial: bool
    seqs: list[int]
    texts: list[str]


def line_runs(batches: Iterable[LogBatch], *, retention_days: Callable[[str], int], today: date) -> list[LineRun]:
    """The rows of these batches, without those whose day to go is over already.

    A program that prints much has many lines of one moment, for which this takes a fraction of the time per line.
    """
    runs: list[LineRun] = []
    for batch in batches:
        kept = timedelta(days=retention_days(batch.tenant))
        tenant, workload_id = clean(batch.tenant), clean(batch.workload_id)
        for lines in _alike(batch.lines) if batch.lines else ():
            time = utc(lines[0].time)
            expires_on = time.date() + kept
            if expires_on >= today:
                seqs, texts = [line.seq for line in lines], clean_all([line.text for line in lines])
                runs.append(
                    LineRun(expires_on, tenant, workload_id, time, lines[0].stream, lines[0].partial, seqs, texts)
                )
    return runs


def _alike(lines: Sequence[LogLine]) -> Iterator[Sequence[LogLine]]:
    """The lines in runs of one time, stream and kind."""
    start, first = 0, lines[0]
    for at, line in enumerate(lines):
        if line.time != first.time or line.stream != first.stream or line.partial != first.partial:
            yield lines[start:at]
            start, first = at, line
    yield lines[start:]


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
