"""What a node is told ahead of its assignment."""

import msgspec
import pytest

from vulcan_contracts.clock import utc_now
from vulcan_contracts.commands import Schedule
from vulcan_contracts.decisions import decide
from vulcan_contracts.dispatch import decode_hint, encode_hint, foreseen
from vulcan_contracts.events import Envelope, encode_data, type_name
from vulcan_contracts.ids import new_event_id, new_workload_id
from vulcan_contracts.spec import InlineSource, Spec
from vulcan_contracts.workload import Workload, evolve

COMMAND = Schedule(isolation="v8", isolation_reason="requested", node="n", incarnation="in_1")


def waiting() -> Workload:
    return Workload(
        id=new_workload_id(),
        tenant="acme",
        spec=Spec(source=InlineSource(code="1"), runtime="javascript"),
        fingerprint="f",
        state="pending",
        version=1,
        attempt=1,
        submitted_at=utc_now(),
    )


def test_it_is_what_the_log_will_say_but_for_the_time() -> None:
    state = waiting()
    data = decide(state, COMMAND)
    assert data is not None
    envelope = Envelope(
        id=new_event_id(),
        type=type_name(data),
        workload_id=state.id,
        tenant=state.tenant,
        actor="scheduler",
        time=utc_now(),
        version=2,
        attempt=1,
        data=encode_data(data),
    )
    after = evolve(state, envelope, data)
    hinted = foreseen(state, COMMAND)
    assert hinted == msgspec.structs.replace(after, scheduled_at=None)
    assert hinted is not None
    assert decode_hint(encode_hint(hinted)) == hinted


def test_what_will_be_refused_is_not_foreseen() -> None:
    assert foreseen(msgspec.structs.replace(waiting(), state="killed"), COMMAND) is None


def test_what_is_no_hint_is_refused() -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_hint(b"\x81\xa1a\x01")
