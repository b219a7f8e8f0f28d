"""What the API shows of a workload and its events."""

from datetime import datetime
from typing import Final, NamedTuple

import msgspec

from vulcan_contracts.events import Completed, Failed, Killed, Recorded
from vulcan_contracts.outcome import Outcome
from vulcan_contracts.queue import Explanation
from vulcan_contracts.views import EventView, LogsDone, Timings, WorkloadView
from vulcan_contracts.workload import State, Workload
from vulcan_gateway.domain.output import NO_OUTPUT, Output


class Known(NamedTuple):
    """What is known about a workload beside its state."""

    output: Output = NO_OUTPUT
    explanation: Explanation | None = None
    trace_id: str | None = None


_NOTHING_KNOWN: Final = Known()


def workload_view(workload: Workload, known: Known = _NOTHING_KNOWN) -> WorkloadView:
    """One workload in full."""
    outcome = workload.outcome if workload.ended else None  # not that of an attempt that is being retried
    explanation = known.explanation if workload.state == "pending" else None
    return WorkloadView(
        id=workload.id,
        state=workload.state,
        reason=outcome.reason if outcome else None,
        message=outcome.message if outcome else "",
        exit_code=outcome.exit_code if outcome else None,
        isolation=workload.spec.isolation,
        backend=workload.isolation,
        runtime=workload.spec.runtime,
        source_type=source_type(workload),
        node=workload.node,
        attempt=workload.attempt,
        priority=workload.spec.priority,
        labels=workload.spec.labels,
        submitted_at=workload.submitted_at,
        started_at=workload.started_at,
        ended_at=workload.ended_at,
        replay_of=workload.replay_of,
        isolation_reason=workload.isolation_reason,
        signal=outcome.signal if outcome else None,
        result=outcome.result if outcome else None,
        stdout=known.output.stdout.text,
        stdout_truncated=known.output.stdout.truncated,
        stderr=known.output.stderr.text,
        stderr_truncated=known.output.stderr.truncated,
        artifacts=outcome.artifacts if outcome else [],
        usage=outcome.usage if outcome else None,
        timings=timings(workload),
        pending_reason=explanation.pending_reason if explanation else None,
        queue_position=explanation.position if explanation else None,
        kill_requested=workload.kill_requested,
        deleted=workload.deleted,
        version=workload.version,
        image_digest=workload.image_digest,
        trace_id=known.trace_id,
        spec=workload.spec,
    )


def source_type(workload: Workload) -> str:
    """The tag of the workload's source: inline, files, archive or image."""
    return str(workload.spec.source.__struct_config__.tag)


def timings(workload: Workload) -> Timings:
    """Where the time of the last attempt went."""
    clock = workload.outcome.clock if workload.outcome and workload.ended else None
    waited_since = workload.not_before or workload.submitted_at
    return Timings(
        queued_ms=_between(waited_since, workload.scheduled_at),
        dispatched_ms=_between(workload.scheduled_at, workload.started_at),
        sandbox_ready_ms=clock.prepare_ms if clock and workload.started_at else None,
        first_output_ms=clock.first_output_ms if clock else None,
        run_ms=clock.run_ms if clock and workload.started_at else None,
        total_ms=_between(workload.submitted_at, workload.ended_at),
    )


def _between(begin: datetime | None, end: datetime | None) -> float | None:
    if begin is None or end is None:
        return None
    return max(0.0, round((end - begin).total_seconds() * 1000, 3))


def event_view(event: Recorded) -> EventView:
    """One event, its data as it is stored."""
    envelope = event.envelope
    return EventView(
        seq=event.seq,
        id=envelope.id,
        type=envelope.type,
        workload_id=envelope.workload_id,
        version=envelope.version,
        attempt=envelope.attempt,
        actor=envelope.actor,
        time=envelope.time,
        data=msgspec.Raw(bytes(envelope.data)),
    )


def logs_done(workload: Workload) -> LogsDone:
    """How an ended workload ended."""
    return _done(workload.state, workload.outcome)


def end_told_by(event: Recorded) -> LogsDone | None:
    """The same from the event that ended it; None from any other."""
    match event.data:
        case Completed(outcome=outcome):
            return _done("completed", outcome)
        case Failed(outcome=outcome):
            return _done("failed", outcome)
        case Killed(outcome=outcome):
            return _done("killed", outcome)
        case _:
            return None


def _done(state: State, outcome: Outcome | None) -> LogsDone:
    return LogsDone(
        state=state,
        reason=outcome.reason if outcome else None,
        message=outcome.message if outcome else "",
        exit_code=outcome.exit_code if outcome else None,
        last_line=outcome.last_line if outcome else 0,
    )


def last_line(workload: Workload) -> int | None:
    """How many lines an ended workload printed; None while it may print more."""
    if not workload.ended:
        return None
    return workload.outcome.last_line if workload.outcome else 0
