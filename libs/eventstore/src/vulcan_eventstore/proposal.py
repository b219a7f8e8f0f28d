"""A decided event, not yet on the log."""

from typing import Self

from msgspec import Struct

from vulcan_contracts import subjects
from vulcan_contracts.clock import utc_now
from vulcan_contracts.commands import Command
from vulcan_contracts.decisions import decide
from vulcan_contracts.events import Envelope, Recorded, encode_data, encode_envelope, type_name
from vulcan_contracts.ids import new_event_id
from vulcan_contracts.workload import Workload, evolve
from vulcan_eventstore.traces import current_traceparent


class Tracked(Struct, frozen=True):
    """A workload's state, and the stream sequence of the event that it reaches to."""

    state: Workload
    seq: int


class Executed(Struct, frozen=True):
    """What a command led to: the state then, and the event it caused (None: a harmless repeat)."""

    tracked: Tracked
    event: Recorded | None


class Proposal(Struct, frozen=True):
    """An event that may follow `expected_seq` (0: be the first), and the state if it does."""

    subject: str
    expected_seq: int
    envelope: Envelope
    state: Workload
    payload: bytes

    @classmethod
    def of(cls, known: Tracked | None, command: Command, *, tenant: str, workload_id: str, actor: str) -> Self | None:
        """The event that the command causes; None for a harmless repeat.

        Raises:
            DomainError: the state does not allow it.
        """
        state = None if known is None else known.state
        data = decide(state, command)
        if data is None:
            return None
        kind = type_name(data)
        envelope = Envelope(
            id=new_event_id(),
            type=kind,
            workload_id=workload_id,
            tenant=tenant,
            actor=actor,
            time=utc_now(),
            version=1 if state is None else state.version + 1,
            attempt=1 if state is None else state.attempt,
            traceparent=current_traceparent(),
            data=encode_data(data),
        )
        return cls(
            subject=subjects.event(tenant, workload_id, kind),
            expected_seq=0 if known is None else known.seq,
            envelope=envelope,
            state=evolve(state, envelope, data),
            payload=encode_envelope(envelope),
        )

    def at(self, seq: int) -> Executed:
        """What came of it, once it stands on the log at `seq`."""
        return Executed(Tracked(self.state, seq), Recorded(seq=seq, envelope=self.envelope))
