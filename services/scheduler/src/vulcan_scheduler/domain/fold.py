"""What an event changes in a job: the scheduler's own small fold beside `evolve`, for workloads too large to keep."""

from datetime import datetime

from vulcan_contracts.events import TERMINAL_TYPES, Recorded, Retrying, Scheduled, Started, Submitted
from vulcan_contracts.spec import Backend
from vulcan_contracts.workload import Workload, evolve
from vulcan_scheduler.domain.job import Job
from vulcan_scheduler.domain.need import need_of


def unix(moment: datetime | None) -> float | None:
    """The moment in Unix seconds."""
    return None if moment is None else moment.timestamp()


def opened(recorded: Recorded, data: Submitted, *, keep_state: bool) -> Job:
    """The job that a first event opens."""
    envelope, spec = recorded.envelope, data.spec
    return Job(
        id=envelope.workload_id,
        tenant=envelope.tenant,
        need=need_of(spec),
        priority=spec.priority,
        order=recorded.seq,
        submitted_at=envelope.time.timestamp(),
        queue_ttl_s=spec.queue_ttl_s,
        seq=recorded.seq,
        version=envelope.version,
        traceparent=envelope.traceparent,
        state=evolve(None, envelope, data) if keep_state else None,
        state_bytes=len(bytes(envelope.data)) if keep_state else 0,
    )


def job_of(state: Workload, seq: int, order: int) -> Job:
    """The job that a workload's full state makes, without keeping that state."""
    return Job(
        id=state.id,
        tenant=state.tenant,
        need=need_of(state.spec),
        priority=state.spec.priority,
        order=order,
        submitted_at=state.submitted_at.timestamp(),
        queue_ttl_s=state.spec.queue_ttl_s,
        seq=seq,
        version=state.version,
        traceparent=state.traceparent,
    )


class Step:
    """Where a job stands after an event: on which life of which node, if any."""

    __slots__ = ("assigned_at", "attempt", "ended", "holder", "isolation", "not_before", "running")

    def __init__(self, job: Job) -> None:
        self.ended = False
        self.running = job.phase == "running"
        self.holder = None if job.node is None or job.incarnation is None else (job.node, job.incarnation)
        self.isolation: Backend | None = job.isolation
        self.attempt = job.attempt
        self.not_before = job.not_before
        self.assigned_at = job.assigned_at


def step(job: Job, recorded: Recorded) -> Step:
    """Where the event moves the job to. Types that this release does not know move nothing."""
    envelope = recorded.envelope
    after = Step(job)
    if envelope.type in TERMINAL_TYPES:
        after.ended = True
        return after
    match recorded.data:
        case Scheduled(isolation=isolation, node=node, incarnation=incarnation):
            after.holder, after.isolation = (node, incarnation), isolation
            after.running, after.assigned_at = False, envelope.time.timestamp()
        case Started(isolation=isolation, node=node, incarnation=incarnation):
            after.holder, after.isolation, after.running = (node, incarnation), isolation, True
            after.assigned_at = after.assigned_at or envelope.time.timestamp()
        case Retrying(next_attempt=attempt, not_before=not_before):
            after.holder, after.running, after.assigned_at = None, False, None
            after.attempt, after.not_before = attempt, not_before.timestamp()
        case _:
            pass
    return after


def step_to(job: Job, state: Workload) -> Step:
    """Where the log's full state says that the job is."""
    after = Step(job)
    after.ended = state.ended
    after.running = state.state == "running"
    held = state.node is not None and state.incarnation is not None
    after.holder = (state.node, state.incarnation) if held and state.node and state.incarnation else None
    after.isolation = state.isolation
    after.attempt = state.attempt
    after.not_before = unix(state.not_before)
    after.assigned_at = unix(state.scheduled_at)
    return after
