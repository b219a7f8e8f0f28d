"""Anybody may ask anything at any time, on any state that they last saw: the answer is what the rules say."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec import Raw

from support.workload_rules import View, becomes
from vulcan_contracts import commands
from vulcan_contracts.commands import Command
from vulcan_contracts.decisions import decide
from vulcan_contracts.errors import CorruptLog, DomainError
from vulcan_contracts.events import Envelope, Recorded, decode_data, encode_data, type_name
from vulcan_contracts.outcome import Outcome
from vulcan_contracts.reasons import Reason
from vulcan_contracts.spec import InlineSource, Retry, Spec
from vulcan_contracts.workload import Workload, evolve, fold

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
PHASES = (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)
MOVES = {
    ("pending", "pending"),
    ("pending", "running"),
    ("pending", "failed"),
    ("pending", "killed"),
    ("running", "running"),
    ("running", "pending"),
    ("running", "completed"),
    ("running", "failed"),
    ("running", "killed"),
    ("completed", "completed"),
    ("failed", "failed"),
    ("killed", "killed"),
}
nodes = st.sampled_from(["n1", "n2"])
incarnations = st.sampled_from(["in_1", "in_2"])
attempts = st.integers(1, 4)
seconds = st.integers(0, 100)
outcomes = st.builds(
    Outcome,
    reason=st.one_of(
        st.none(), st.sampled_from(Reason), st.sampled_from([Reason.EXECUTOR_LOST, Reason.KILLED_BY_USER])
    ),
    exit_code=st.one_of(st.none(), st.integers(0, 3)),
    last_line=st.integers(0, 5),
)


def at(second: int) -> datetime:
    return BEGIN + timedelta(seconds=second)


submits = st.builds(
    commands.Submit,
    spec=st.builds(
        Spec,
        source=st.just(InlineSource(code="1")),
        retry=st.builds(
            Retry,
            max_attempts=st.integers(1, 3),
            on=st.sampled_from([[], [Reason.EXECUTOR_LOST], list(Reason), list(Reason)]),
            backoff_s=st.sampled_from([0.0, 5.0]),
        ),
        queue_ttl_s=st.sampled_from([1.0, 50.0]),
    ),
    fingerprint=st.sampled_from(["f", "g"]),
)
schedules = st.builds(
    commands.Schedule, isolation=st.just("v8"), isolation_reason=st.just(""), node=nodes, incarnation=incarnations
)
starts = st.builds(commands.Start, node=nodes, incarnation=incarnations, attempt=attempts)
ends = st.builds(
    commands.End, node=nodes, incarnation=incarnations, attempt=attempts, outcome=outcomes, at=seconds.map(at)
)
losses = st.builds(
    commands.LoseExecutor,
    node=nodes,
    incarnation=incarnations,
    attempt=attempts,
    at=seconds.map(at),
    last_line=st.integers(0, 5),
)
others = st.one_of(
    st.just(commands.RequestKill()), st.just(commands.Delete()), st.builds(commands.Expire, at=seconds.map(at))
)
anything: st.SearchStrategy[Command] = st.one_of(submits, schedules, starts, ends, losses, others)


class Log(RuleBasedStateMachine):
    """One workload's log with its fence, and actors who each decide on what they last saw of it."""

    def __init__(self) -> None:
        super().__init__()
        self.log: list[Recorded] = []
        self.states: list[Workload] = []
        self.copies: dict[int, Workload | None] = dict.fromkeys(range(3))

    @property
    def state(self) -> Workload | None:
        return self.states[-1] if self.states else None

    def execute(self, known: Workload | None, command: Command) -> bool:
        """Decide on what is known and append behind it; the fence refuses where that is not the end."""
        expected = becomes(known, command, at(len(self.log)))
        if isinstance(expected, type):
            with pytest.raises(DomainError) as caught:
                decide(known, command)
            assert caught.type is expected
            return False
        data = decide(known, command)
        assert (data is None) == (expected is None)
        if data is None or (0 if known is None else known.version) != len(self.log):
            return False
        envelope = self.append(type_name(data), encode_data(data))
        assert decode_data(envelope) == data
        self.states.append(evolve(known, envelope, data))
        assert View.of(self.states[-1]) == expected
        return True

    def append(self, event_type: str, data: Raw) -> Envelope:
        envelope = Envelope(
            id=f"ev_{len(self.log)}",
            type=event_type,
            workload_id="w",
            tenant="t",
            actor="a",
            time=at(len(self.log)),
            version=len(self.log) + 1,
            attempt=1 if self.state is None else self.state.attempt,
            data=data,
        )
        self.log.append(Recorded(seq=len(self.log) + 1, envelope=envelope))
        return envelope

    @precondition(lambda self: self.state is not None and len(self.log) % 5 == 4)
    @rule()
    def a_later_release_adds_what_this_one_does_not_know(self) -> None:
        before = self.state
        assert before is not None
        envelope = self.append("paused", Raw(b"{}"))
        self.states.append(evolve(before, envelope, decode_data(envelope)))
        assert self.states[-1] == msgspec.structs.replace(before, version=before.version + 1)

    @precondition(lambda self: self.log)
    @rule(which=st.integers(0, 100))
    def a_log_with_a_hole_or_a_repeat_is_refused(self, which: int) -> None:
        at_event = which % len(self.log)
        with pytest.raises(CorruptLog):
            fold([*self.log[: at_event + 1], *self.log[at_event:]])
        if at_event + 1 < len(self.log):
            with pytest.raises(CorruptLog):
                fold([*self.log[:at_event], *self.log[at_event + 1 :]])

    @rule(actor=st.integers(0, 2), looks=st.booleans(), command=anything)
    def act(self, actor: int, looks: bool, command: Command) -> None:
        if looks:
            self.look(actor)
        if self.execute(self.copies[actor], command):
            self.copies[actor] = self.state

    @rule(actor=st.integers(0, 2))
    def look(self, actor: int) -> None:
        self.copies[actor] = self.state

    @precondition(lambda self: self.state is not None and self.state.ended)
    @rule()
    def another_begins(self) -> None:
        """What has ended says little more."""
        self.log.clear()
        self.states.clear()
        self.copies = dict.fromkeys(self.copies)

    @rule(submit=submits, holder=nodes, life=incarnations, runs=st.sampled_from([True, True, False]))
    def goes_on(self, submit: commands.Submit, holder: str, life: str, runs: bool) -> None:
        """The way that leads on, or few logs get past the start."""
        if self.state is None:
            self.execute(None, submit)
        self.execute(self.state, commands.Schedule(isolation="v8", isolation_reason="", node=holder, incarnation=life))
        state = self.state
        if runs and state is not None and state.node is not None and state.incarnation is not None:
            start = commands.Start(node=state.node, incarnation=state.incarnation, attempt=state.attempt)
            self.execute(state, start)

    @rule(outcome=outcomes, second=seconds)
    def the_holder_ends_it(self, outcome: Outcome, second: int) -> None:
        state = self.state
        if state is None or state.node is None or state.incarnation is None:
            return
        command = commands.End(
            node=state.node, incarnation=state.incarnation, attempt=state.attempt, outcome=outcome, at=at(second)
        )
        self.execute(state, command)

    @precondition(lambda self: self.state is not None and self.state.node is not None)
    @rule(data=st.data(), second=seconds)
    def the_holder_is_lost(self, data: st.DataObject, second: int) -> None:
        """Or almost: the life before, or the attempt before."""
        state = self.state
        assert state is not None
        command = commands.LoseExecutor(
            node=data.draw(st.sampled_from([state.node or "", state.node or "", "n2"])),
            incarnation=data.draw(st.sampled_from([state.incarnation or "", state.incarnation or "", "in_2"])),
            attempt=state.attempt - data.draw(st.sampled_from([0, 0, 1])),
            at=at(second),
            last_line=second,
        )
        self.execute(state, command)

    @precondition(lambda self: self.state is not None)
    @rule(asked=st.lists(others, min_size=1, max_size=3))
    def its_owner_asks(self, asked: list[Command]) -> None:
        for command in asked:
            self.execute(self.state, command)

    @rule(outcome=outcomes, second=seconds, stranger=nodes, strange_life=incarnations, attempt=attempts)
    def a_loser_never_ends_a_run(
        self, outcome: Outcome, second: int, stranger: str, strange_life: str, attempt: int
    ) -> None:
        state = self.state
        if state is None or (state.held_by(stranger, strange_life) and state.attempt == attempt):
            return
        command = commands.End(node=stranger, incarnation=strange_life, attempt=attempt, outcome=outcome, at=at(second))
        try:
            decide(state, command)
        except DomainError:
            return
        raise AssertionError("somebody who does not hold the attempt ended it")

    @invariant()
    def only_legal_moves(self) -> None:
        for before, after in zip(self.states, self.states[1:], strict=False):
            assert (before.state, after.state) in MOVES
            if (before.state, after.state) == ("running", "pending"):
                assert after.attempt == before.attempt + 1
            else:
                assert after.attempt == before.attempt

    @invariant()
    def ended_is_final(self) -> None:
        ended = [state for state in self.states if state.ended]
        for state in ended:
            assert (state.state, state.outcome, state.ended_at) == (ended[0].state, ended[0].outcome, ended[0].ended_at)
        assert sum(recorded.envelope.type in ("completed", "failed", "killed") for recorded in self.log) <= 1

    @invariant()
    def versions_are_contiguous_and_the_fold_is_the_state(self) -> None:
        assert [recorded.envelope.version for recorded in self.log] == list(range(1, len(self.log) + 1))
        assert fold(self.log) == self.state

    @invariant()
    def attempts_stay_within_the_policy(self) -> None:
        if self.state is not None:
            assert self.state.attempt <= self.state.spec.retry.max_attempts
            assert self.state.state != "running" or self.state.started_at is not None

    @invariant()
    def the_reason_fits_the_end(self) -> None:
        state = self.state
        if state is None or not state.ended:
            return
        assert state.outcome is not None
        reason = state.outcome.reason
        if state.state == "completed":
            assert reason is None
        elif state.state == "killed":
            assert reason is Reason.KILLED_BY_USER
        else:
            assert reason not in (None, Reason.KILLED_BY_USER)


Log.TestCase.settings = settings(max_examples=150, stateful_step_count=50, deadline=None, phases=PHASES)
TestLog = Log.TestCase
