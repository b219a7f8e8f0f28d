"""The workload aggregate: its state, and the fold that every service derives it with.

pending -> running -> completed | failed | killed
   |  ^       |
   |  +-------+  retrying: the next attempt
   +-> failed | killed
"""

from datetime import datetime
from typing import Literal, assert_never

import msgspec
from msgspec import Struct

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
from vulcan_contracts.outcome import Outcome
from vulcan_contracts.spec import Backend, Spec

State = Literal["pending", "running", "completed", "failed", "killed"]


class Workload(Struct, frozen=True, kw_only=True):
    """Everything the log says about one workload, as of `version`."""

    id: str
    tenant: str
    spec: Spec
    fingerprint: str
    state: State
    version: int
    attempt: int
    submitted_at: datetime
    replay_of: str | None = None
    traceparent: str | None = None
    isolation: Backend | None = None
    isolation_reason: str | None = None
    node: str | None = None
    incarnation: str | None = None
    image_digest: str | None = None
    scheduled_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    not_before: datetime | None = None
    kill_requested: bool = False
    deleted: bool = False
    outcome: Outcome | None = None
    """How the last attempt ended; while another attempt waits or runs, how the one before it did."""

    @property
    def ended(self) -> bool:
        """True once the state can no longer change."""
        return self.state in ("completed", "failed", "killed")

    def held_by(self, node: str, incarnation: str) -> bool:
        """True if the current attempt was given to this life of the node."""
        return self.node == node and self.incarnation == incarnation


def evolve(state: Workload | None, envelope: Envelope, data: EventData | None) -> Workload:
    """The state after one more event. Pure.

    Args:
        state: the state so far; None before the first event.
        envelope: the event's envelope.
        data: its decoded data; None for a type that this release does not know: only `version` moves.

    Raises:
        CorruptLog: the event cannot follow what came before it.
    """
    if state is None:
        if not isinstance(data, Submitted) or envelope.version != 1:
            raise CorruptLog(f"{envelope.workload_id}: the first event is {envelope.type} v{envelope.version}")
        return Workload(
            id=envelope.workload_id,
            tenant=envelope.tenant,
            spec=data.spec,
            fingerprint=data.fingerprint,
            state="pending",
            version=1,
            attempt=1,
            submitted_at=envelope.time,
            replay_of=data.replay_of,
            traceparent=envelope.traceparent,
        )
    if envelope.version != state.version + 1:
        raise CorruptLog(f"{state.id}: v{envelope.version} cannot follow v{state.version}")
    return _apply(msgspec.structs.replace(state, version=envelope.version), envelope, data)


def _apply(state: Workload, envelope: Envelope, data: EventData | None) -> Workload:
    change = msgspec.structs.replace
    match data:
        case None:
            return state
        case Submitted():
            raise CorruptLog(f"{state.id}: submitted twice")
        case Scheduled(isolation=isolation, isolation_reason=why, node=node, incarnation=incarnation):
            return change(
                state,
                isolation=isolation,
                isolation_reason=why,
                node=node,
                incarnation=incarnation,
                scheduled_at=envelope.time,
            )
        case Started(image_digest=digest):
            return change(state, state="running", started_at=envelope.time, image_digest=digest)
        case Retrying(outcome=outcome, next_attempt=attempt, not_before=not_before):
            return change(
                state,
                state="pending",
                attempt=attempt,
                outcome=outcome,
                not_before=not_before,
                node=None,
                incarnation=None,
                scheduled_at=None,
                started_at=None,
            )
        case KillRequested():
            return change(state, kill_requested=True)
        case Completed(outcome=outcome):
            return change(state, state="completed", outcome=outcome, ended_at=envelope.time)
        case Failed(outcome=outcome):
            return change(state, state="failed", outcome=outcome, ended_at=envelope.time)
        case Killed(outcome=outcome):
            return change(state, state="killed", outcome=outcome, ended_at=envelope.time)
        case Deleted():
            return change(state, deleted=True)
        case _:
            assert_never(data)


def fold(events: list[Recorded]) -> Workload | None:
    """The state after these events of one workload, oldest first; None if there are none.

    Raises:
        CorruptLog: they do not follow one another.
    """
    state: Workload | None = None
    for event in events:
        state = evolve(state, event.envelope, decode_data(event.envelope))
    return state
