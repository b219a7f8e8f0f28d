"""What one event does to a workload's row. The row before it is all that is needed, so any batch can be projected from
the rows alone; `tests/unit/logstore` holds it against the fold of `vulcan_contracts.workload`.
"""

from datetime import UTC, datetime
from typing import Any, Final, assert_never

import msgspec

from vulcan_contracts.errors import CorruptLog
from vulcan_contracts.events import (
    Completed,
    Deleted,
    Envelope,
    EventData,
    Failed,
    Killed,
    KillRequested,
    Recorded,
    Retrying,
    Scheduled,
    Started,
    Submitted,
    decode_data,
)
from vulcan_contracts.outcome import Outcome, RunClock
from vulcan_contracts.spec import ArchiveSource, FilesSource, ImageSource, InlineSource, Source
from vulcan_logstore.domain.row import WorkloadRow
from vulcan_logstore.domain.text import clean, clean_or_none

_INT4: Final = 2**31 - 1
_UNMEASURED: Final = RunClock()


def project(row: WorkloadRow | None, event: Recorded) -> WorkloadRow:
    """The row after the event. A type that this release does not know moves `version` and `seq` only.

    Raises:
        CorruptLog: the event cannot follow the row, or is not what its type promises.
    """
    envelope = event.envelope
    try:
        data = decode_data(envelope)
    except msgspec.ValidationError as error:
        raise CorruptLog(f"{envelope.workload_id} v{envelope.version}: {envelope.type}: {error}") from error
    if row is None:
        if not isinstance(data, Submitted):
            raise CorruptLog(f"{envelope.workload_id}: the first event is {envelope.type} v{envelope.version}")
        return _submitted(data, envelope, event.seq)
    if envelope.version <= row.version:
        raise CorruptLog(f"{row.id}: v{envelope.version} cannot follow v{row.version}")
    moved = msgspec.structs.replace(row, version=envelope.version, seq=event.seq)
    return moved if data is None else _apply(moved, data, utc(envelope.time))


def utc(time: datetime) -> datetime:
    """The time in UTC; one that does not say where it is from is taken to be."""
    return time.astimezone(UTC) if time.tzinfo is not None else time.replace(tzinfo=UTC)


def _submitted(data: Submitted, envelope: Envelope, seq: int) -> WorkloadRow:
    spec = data.spec
    labels = {clean(name): clean(value) for name, value in spec.labels.items()}
    return WorkloadRow(
        id=clean(envelope.workload_id),
        tenant=clean(envelope.tenant),
        state="pending",
        isolation=spec.isolation,
        runtime=spec.runtime,
        source_type=_source_type(spec.source),
        attempt=1,
        priority=spec.priority,
        labels=msgspec.json.encode(labels).decode(),
        submitted_at=utc(envelope.time),
        waiting_since=utc(envelope.time),
        replay_of=clean_or_none(data.replay_of),
        version=envelope.version,
        seq=seq,
    )


def _source_type(source: Source) -> str:
    match source:
        case InlineSource():
            return "inline"
        case FilesSource():
            return "files"
        case ArchiveSource():
            return "archive"
        case ImageSource():
            return "image"
        case _:
            assert_never(source)


def _apply(row: WorkloadRow, data: EventData, time: datetime) -> WorkloadRow:
    change = msgspec.structs.replace
    match data:
        case Submitted():
            raise CorruptLog(f"{row.id}: submitted twice")
        case Scheduled(isolation=backend, node=node):
            queued_ms = _ms(row.waiting_since, time)
            return change(row, backend=backend, node=clean(node), scheduled_at=time, queued_ms=queued_ms)
        case Started():
            dispatched_ms = _ms(row.scheduled_at, time)
            return change(row, state="running", started_at=time, dispatched_ms=dispatched_ms)
        case Retrying(outcome=outcome, next_attempt=attempt):
            return _waiting_again(row, attempt, outcome, time)
        case KillRequested():
            return change(row, kill_requested=True)
        case Completed(outcome=outcome):
            return _ended(row, "completed", outcome, time)
        case Failed(outcome=outcome):
            return _ended(row, "failed", outcome, time)
        case Killed(outcome=outcome):
            return _ended(row, "killed", outcome, time)
        case Deleted():
            return change(row, deleted=True)
        case _:
            assert_never(data)


def _waiting_again(row: WorkloadRow, attempt: int, outcome: Outcome, time: datetime) -> WorkloadRow:
    return msgspec.structs.replace(
        row,
        state="pending",
        attempt=attempt,
        node=None,
        waiting_since=time,
        scheduled_at=None,
        started_at=None,
        queued_ms=None,
        dispatched_ms=None,
        last_line=outcome.last_line,
    )


def _ended(row: WorkloadRow, state: str, outcome: Outcome, time: datetime) -> WorkloadRow:
    measured: dict[str, Any] = {}
    if row.started_at is not None and outcome.clock != _UNMEASURED:
        clock = outcome.clock
        measured = {
            "sandbox_ready_ms": clock.prepare_ms,
            "first_output_ms": clock.first_output_ms,
            "run_ms": clock.run_ms,
        }
    return msgspec.structs.replace(
        row,
        state=state,
        reason=None if outcome.reason is None else outcome.reason.value,
        message=clean(outcome.message),
        exit_code=_int4(outcome.exit_code),
        ended_at=time,
        last_line=outcome.last_line,
        total_ms=_ms(row.submitted_at, time),
        **measured,
    )


def _ms(since: datetime | None, until: datetime) -> float | None:
    """Milliseconds between two clocks, which may belong to two hosts: never negative."""
    return None if since is None else max(0.0, (until - since).total_seconds() * 1000)


def _int4(number: int | None) -> int | None:
    return None if number is None else max(-_INT4 - 1, min(_INT4, number))
