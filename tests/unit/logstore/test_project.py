"""Rows against the fold: whatever happens to a workload, its row says what the log says."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vulcan_contracts.commands import (
    Command,
    Delete,
    End,
    Expire,
    LoseExecutor,
    RequestKill,
    Schedule,
    Start,
    Submit,
)
from vulcan_contracts.decisions import decide
from vulcan_contracts.errors import CorruptLog, DomainError
from vulcan_contracts.events import Envelope, Recorded, decode_data, encode_data, type_name
from vulcan_contracts.outcome import Outcome, RunClock
from vulcan_contracts.reasons import Reason
from vulcan_contracts.spec import ArchiveSource, FilesSource, ImageSource, InlineSource, Retry, Source, Spec
from vulcan_contracts.workload import Workload, evolve
from vulcan_logstore.domain.project import project
from vulcan_logstore.domain.row import WorkloadRow

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
NODE = {"node": "n1", "incarnation": "in_1"}
SPEC = Spec(
    runtime="javascript",
    source=InlineSource(code="1"),
    labels={"team": "x"},
    priority=7,
    retry=Retry(max_attempts=3),
)


def recorded(
    seq: int, version: int, type_: str, data: msgspec.Raw, *, at: datetime = NOON, attempt: int = 1
) -> Recorded:
    envelope = Envelope(
        id=f"ev_{seq}",
        type=type_,
        workload_id="wl_1",
        tenant="acme",
        actor="test",
        time=at,
        version=version,
        attempt=1,
        data=data,
    )
    return Recorded(seq=seq, envelope=envelope)


def events(commands: list[Command]) -> list[Recorded]:
    """What the commands cause, one second after the other; refused ones cause nothing."""
    state: Workload | None = None
    found: list[Recorded] = []
    for second, command in enumerate([Submit(spec=SPEC, fingerprint="f"), *commands]):
        try:
            data = decide(state, command)
        except DomainError:
            continue
        if data is not None:
            at = NOON + timedelta(seconds=second)
            event = recorded(10 * len(found) + 5, len(found) + 1, type_name(data), encode_data(data), at=at)
            state = evolve(state, event.envelope, decode_data(event.envelope))
            found.append(event)
    return found


def rows(found: list[Recorded]) -> list[WorkloadRow]:
    row: WorkloadRow | None = None
    every = []
    for event in found:
        row = project(row, event)
        every.append(row)
    return every


outcomes = st.builds(
    Outcome,
    reason=st.sampled_from([None, *Reason]),
    message=st.text(max_size=5),
    exit_code=st.none() | st.integers(),
    last_line=st.integers(0, 2**40),
    clock=st.sampled_from([RunClock(), RunClock(prepare_ms=1, first_output_ms=2, run_ms=3)]),
)
commands = st.lists(
    st.one_of(
        st.just(Schedule(isolation="v8", isolation_reason="", **NODE)),
        st.builds(lambda attempt: Start(attempt=attempt, **NODE), st.integers(1, 3)),
        st.builds(lambda n, outcome: End(attempt=n, outcome=outcome, at=NOON, **NODE), st.integers(1, 3), outcomes),
        st.just(LoseExecutor(attempt=1, at=NOON, last_line=1, **NODE)),
        st.just(RequestKill()),
        st.just(Expire(at=NOON + timedelta(days=9))),
        st.just(Delete()),
    ),
    max_size=12,
)


@given(commands)
def test_the_row_says_what_the_fold_says(given_commands: list[Command]) -> None:
    state: Workload | None = None
    row: WorkloadRow | None = None
    for event in events(given_commands):
        state = evolve(state, event.envelope, decode_data(event.envelope))
        row = project(row, event)
        for field in (
            *("id", "tenant", "state", "version", "attempt", "submitted_at", "node", "replay_of"),
            *("scheduled_at", "started_at", "ended_at", "kill_requested", "deleted"),
        ):
            assert getattr(row, field) == getattr(state, field), field
        assert row.backend == state.isolation
        assert row.seq == event.seq
        assert row.reason == (state.outcome.reason if state.ended and state.outcome else None)
        assert row.last_line == (state.outcome.last_line if state.outcome else 0)
        assert (row.total_ms is None) == (not state.ended)
        assert row.labels == '{"team":"x"}'
        assert row.priority == 7
        row.message.encode()
        assert "\x00" not in row.message
        assert row.exit_code is None or -(2**31) <= row.exit_code < 2**31


def test_where_the_time_went() -> None:
    clock = RunClock(prepare_ms=4, first_output_ms=5, run_ms=6)
    failed = Outcome(reason=Reason.BACKEND_ERROR, clock=clock)
    *_, retrying, scheduled, started, ended = rows(
        events(
            [
                Schedule(isolation="v8", isolation_reason="", **NODE),
                Start(attempt=1, **NODE),
                End(attempt=1, outcome=failed, at=NOON, **NODE),
                Delete(),
                Schedule(isolation="v8", isolation_reason="", **NODE),
                Start(attempt=2, **NODE),
                End(attempt=2, outcome=Outcome(clock=clock), at=NOON, **NODE),
            ]
        )
    )
    assert (retrying.state, retrying.attempt, retrying.queued_ms, retrying.scheduled_at) == ("pending", 2, None, None)
    assert scheduled.queued_ms == 2000, "since the retry, not since the submit"
    assert started.dispatched_ms == 1000
    assert (ended.sandbox_ready_ms, ended.first_output_ms, ended.run_ms, ended.total_ms) == (4, 5, 6, 7000)


def test_what_never_ran_has_no_times_of_a_run() -> None:
    (*_, killed) = rows(events([RequestKill()]))
    assert (killed.state, killed.reason) == ("killed", "killed_by_user")
    assert (killed.sandbox_ready_ms, killed.run_ms, killed.queued_ms) == (None, None, None)


def test_a_lost_executor_measured_nothing() -> None:
    lost = LoseExecutor(attempt=1, at=NOON, last_line=1, **NODE)
    found = events(
        [Schedule(isolation="v8", isolation_reason="", **NODE), Start(attempt=1, **NODE), RequestKill(), lost]
    )
    assert rows(found)[-1].run_ms is None


@pytest.mark.parametrize(
    ("source", "name"),
    [
        (InlineSource(code="1"), "inline"),
        (FilesSource(files={"a": ""}, entrypoint="a"), "files"),
        (ArchiveSource(entrypoint="a"), "archive"),
        (ImageSource(image="x"), "image"),
    ],
)
def test_kinds_of_source(source: Source, name: str) -> None:
    data = decide(None, Submit(spec=Spec(source=source), fingerprint="f"))
    assert data is not None
    assert project(None, recorded(1, 1, "submitted", encode_data(data))).source_type == name


def test_a_type_of_a_later_release_moves_the_version_only() -> None:
    (row,) = rows(events([]))
    moved = project(row, recorded(99, 2, "paused", msgspec.Raw(b'{"x":1}')))
    assert moved == msgspec.structs.replace(row, version=2, seq=99)


@pytest.mark.parametrize(
    ("type_", "version", "data"),
    [
        ("submitted", 2, None),
        ("scheduled", 1, b'{"isolation":"v8","isolation_reason":"","node":"n","incarnation":"i"}'),
        ("scheduled", 2, b'{"isolation":"v8"}'),
        ("completed", 2, b"[]"),
    ],
)
def test_what_cannot_follow_is_refused(type_: str, version: int, data: bytes | None) -> None:
    submitted = events([])[0]
    (row,) = rows([submitted])
    raw = submitted.envelope.data if data is None else msgspec.Raw(data)
    with pytest.raises(CorruptLog):
        project(row, recorded(99, version, type_, raw))


def test_a_workload_begins_with_its_submit() -> None:
    with pytest.raises(CorruptLog, match="the first event is deleted"):
        project(None, recorded(1, 4, "deleted", msgspec.Raw(b"{}")))


def test_hosts_whose_clocks_differ_make_no_negative_times() -> None:
    submitted, scheduled = events([Schedule(isolation="v8", isolation_reason="", **NODE)])
    early: Any = msgspec.structs.replace(scheduled.envelope, time=NOON - timedelta(hours=1))
    assert project(project(None, submitted), msgspec.structs.replace(scheduled, envelope=early)).queued_ms == 0
