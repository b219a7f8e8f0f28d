"""Proposals: what would be appended, before any server is asked."""

import msgspec
import pytest
from opentelemetry.sdk.trace import TracerProvider

from support.eventlog import TENANT, end, schedule, start, submit
from vulcan_contracts.commands import RequestKill
from vulcan_contracts.errors import UnknownWorkload
from vulcan_contracts.events import decode_envelope
from vulcan_contracts.ids import new_workload_id
from vulcan_eventstore.proposal import Proposal, Tracked
from vulcan_eventstore.traces import current_traceparent

_ID = new_workload_id()


def _propose(known: Tracked | None, command: object) -> Proposal | None:
    return Proposal.of(known, command, tenant=TENANT, workload_id=_ID, actor="test")  # type: ignore[arg-type] # any command


def test_the_first_event_expects_an_empty_log() -> None:
    proposal = _propose(None, submit())
    assert proposal is not None
    assert proposal.expected_seq == 0
    assert proposal.subject == f"evt.{TENANT}.workload.{_ID}.submitted"
    assert proposal.envelope.version == 1
    assert decode_envelope(proposal.payload).id == proposal.envelope.id


def test_the_next_expects_the_one_before_and_carries_its_attempt() -> None:
    tracked: Tracked | None = None
    for seq, command in enumerate((submit(), schedule(), start()), start=10):
        proposal = _propose(tracked, command)
        assert proposal is not None
        assert proposal.expected_seq == (0 if tracked is None else tracked.seq)
        tracked = proposal.at(seq).tracked
    assert tracked is not None
    assert (tracked.seq, tracked.state.version, tracked.state.state) == (12, 3, "running")
    second_try = msgspec.structs.replace(tracked, state=msgspec.structs.replace(tracked.state, attempt=2))
    proposal = _propose(second_try, end(attempt=2))
    assert proposal is not None
    assert (proposal.envelope.version, proposal.envelope.attempt) == (4, 2)


def test_a_repeat_proposes_nothing_and_a_refusal_is_raised() -> None:
    first = _propose(None, submit("same"))
    assert first is not None
    assert _propose(first.at(1).tracked, submit("same")) is None
    with pytest.raises(UnknownWorkload):
        _propose(None, RequestKill())


def test_ids_are_never_the_same() -> None:
    proposals = [_propose(None, submit()) for _ in range(100)]
    assert len({proposal.envelope.id for proposal in proposals if proposal is not None}) == 100


def test_the_trace_is_that_of_the_current_span() -> None:
    assert current_traceparent() is None
    with TracerProvider().get_tracer("test").start_as_current_span("work") as span:
        context = span.get_span_context()
        proposal = _propose(None, submit())
    assert proposal is not None
    assert (proposal.envelope.traceparent or "").startswith(f"00-{context.trace_id:032x}-{context.span_id:016x}-")
