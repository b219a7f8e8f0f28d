"""Whatever the live feed loses, doubles or reorders, however far the stores lag, whatever is away for how long: each
reader, whenever it comes and comes back, gets each line and event once, in order, none missing, and then the end."""

from typing import Final

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from support.stream_machine import (
    MAX_READERS,
    NEIGHBOUR,
    OURS,
    PHASES,
    TENANT,
    TIME,
    Client,
    Streams,
    fates,
    rarely,
    turns_of_loop,
)
from support.stream_readers import Body, StreamReader
from vulcan_contracts import commands
from vulcan_contracts.logs import LogBatch, LogLine
from vulcan_contracts.outcome import Outcome
from vulcan_contracts.reasons import Reason
from vulcan_gateway.domain.filters import ALL_LINES, LineFilter
from vulcan_gateway.live import fanout
from vulcan_gateway.live.line_feed import Outlet

FILTERS = (ALL_LINES, ALL_LINES, LineFilter(stream="stderr"), LineFilter(search="7"))
ENDS = frozenset({"completed", "failed", "killed"})
TYPES = (frozenset[str](), frozenset({"killed"}), ENDS)
MAX_LINES: Final = 160


class Lines(Streams):
    """A workload that prints, on one node after another, and the readers of its lines."""

    def __init__(self) -> None:
        super().__init__()
        self.patched = pytest.MonkeyPatch()

    @initialize(
        follows=st.booleans(), direct=st.booleans(), attempts=st.integers(1, 3), few=st.sampled_from([1, 2, 64])
    )
    def is_submitted(self, follows: bool, direct: bool, attempts: int, few: int) -> None:
        """Whoever submits may follow from before the first event on."""
        self.patched.setattr(fanout, "FEW", few)
        if follows:
            client = self.client(ALL_LINES, direct=direct)
            self.connect(client, self.submitters_body(client.reader if direct else None), turns=1)
        self.submit(OURS, attempts)
        self.give("n1", "heard")
        for way in (False, True):
            self.connect(self.client(ALL_LINES, direct=way), turns=20)

    def teardown(self) -> None:
        self.patched.undo()
        super().teardown()

    def give(self, node: str, fate: str) -> None:
        schedule = commands.Schedule(isolation="v8", isolation_reason="", node=node, incarnation="in_1")
        self.execute(OURS, schedule, fate)
        self.execute(OURS, commands.Start(node=node, incarnation="in_1", attempt=self.state.attempt), fate)

    @precondition(lambda self: self.state.state == "running" and len(self.stores.lines) < MAX_LINES)
    @rule(batches=st.lists(st.tuples(st.sampled_from([1, 2, 4, 12]), fates, turns_of_loop), min_size=2, max_size=6))
    def prints(self, batches: list[tuple[int, str, int]]) -> None:
        for many, fate, turns in batches:
            self.print(many, fate)
            self.turn(turns)

    def print(self, many: int, fate: str) -> None:
        first = len(self.stores.lines) + 1
        lines = [
            LogLine(seq=seq, time=TIME, stream="stderr" if seq % 3 == 0 else "stdout", text=f"line {seq}")
            for seq in range(first, first + many)
        ]
        self.stores.lines += lines
        self.batch(LogBatch(workload_id=OURS, tenant=TENANT, attempt=self.state.attempt, lines=lines), fate)

    @rule(fate=fates)
    def a_neighbour_prints(self, fate: str) -> None:
        line = LogLine(seq=1, time=TIME, stream="stdout", text="not ours")
        self.batch(LogBatch(workload_id=NEIGHBOUR, tenant=TENANT, attempt=1, lines=[line]), fate)

    @precondition(lambda self: self.state.state == "running" and len(self.stores.lines) > 25 * self.state.attempt)
    @rule(lost=st.booleans(), fate=fates)
    def the_attempt_fails(self, lost: bool, fate: str) -> None:
        """Its log is sealed at the last line, and the next attempt, if there is one, runs on another node."""
        state, last = self.state, len(self.stores.lines)
        node, attempt = state.node or "", state.attempt
        outcome = Outcome(reason=Reason.EXIT_NONZERO, last_line=last)
        command: commands.Command = (
            commands.LoseExecutor(node=node, incarnation="in_1", attempt=attempt, at=TIME, last_line=last)
            if lost
            else commands.End(node=node, incarnation="in_1", attempt=attempt, outcome=outcome, at=TIME)
        )
        self.execute(OURS, command, fate)
        if not self.state.ended:
            self.give(f"n{attempt + 1}", fate)

    def something_happens(self, fate: str) -> None:
        self.print(2, fate)

    def may_end(self) -> bool:
        return self.state.state == "running" and len(self.stores.lines) > MAX_LINES / 2

    @precondition(may_end)
    @rule(fate=fates)
    def completes(self, fate: str) -> None:
        self.end(fate)

    def end(self, fate: str) -> None:
        state, outcome = self.state, Outcome(reason=None, exit_code=0, last_line=len(self.stores.lines))
        end = commands.End(node=state.node or "", incarnation="in_1", attempt=state.attempt, outcome=outcome, at=TIME)
        self.execute(OURS, end, fate)

    @rule(steps=st.lists(st.tuples(st.integers(1, 10), turns_of_loop), min_size=1, max_size=6))
    def is_projected(self, steps: list[tuple[int, int]]) -> None:
        for many, turns in steps:
            self.stores.projected = min(len(self.stores.lines), self.stores.projected + many)
            self.turn(turns)

    @precondition(lambda self: len(self.stores.lines) > MAX_LINES / 4)
    @rule(many=st.integers(1, 10))
    def expires(self, many: int) -> None:
        """The oldest are no more; the newest always stays here, for nobody could know it to be none."""
        self.stores.expired = min(len(self.stores.lines) - 1, self.stores.expired + many)

    @rule(away=rarely)
    def postgres_goes_or_comes(self, away: bool) -> None:
        self.stores.postgres_away = away

    async def submitters_body(self, outlet: Outlet | None) -> Body:
        with self.hub.follow_lines(TENANT, OURS, outlet) as feed:
            async for piece in self.tail.lines_of_new(TENANT, OURS, feed):
                yield piece

    def client(self, only: LineFilter, *, direct: bool) -> Client:
        reader = StreamReader(
            self.loop, lambda after: self.tail.lines(TENANT, OURS, after, only, reader if direct else None)
        )
        return Client(
            reader,
            lambda: [line.seq for line in self.stores.lines if only.wants(line)],
            ends=True,
            gone=lambda: self.stores.expired,
        )

    @precondition(lambda self: len(self.clients) < MAX_READERS)
    @rule(only=st.sampled_from(FILTERS), direct=st.booleans(), turns=turns_of_loop)
    def a_reader_comes(self, only: LineFilter, direct: bool, turns: int) -> None:
        self.connect(self.client(only, direct=direct), turns=turns)


class Events(Streams):
    """A tenant's workloads, and the readers of the events of one and of all of them."""

    @initialize()
    def is_submitted(self) -> None:
        self.submit(OURS)

    @precondition(lambda self: not self.state.ended)
    @rule(fate=fates, node=st.sampled_from(["n1", "n2"]))
    def is_scheduled(self, fate: str, node: str) -> None:
        self.execute(OURS, commands.Schedule(isolation="v8", isolation_reason="", node=node, incarnation="in_1"), fate)

    def something_happens(self, fate: str) -> None:
        self.is_scheduled(fate, "n1")

    def may_end(self) -> bool:
        return not self.state.ended and self.neighbours > 3

    @precondition(may_end)
    @rule(fate=fates)
    def is_killed(self, fate: str) -> None:
        self.end(fate)

    def end(self, fate: str) -> None:
        self.execute(OURS, commands.RequestKill(), fate)

    @precondition(lambda self: len(self.clients) < MAX_READERS)
    @rule(turns=turns_of_loop)
    def a_reader_of_one_comes(self, turns: int) -> None:
        reader = StreamReader(self.loop, lambda after: self.tail.workload_events(TENANT, OURS, after))
        self.connect(Client(reader, lambda: self.events(OURS, TYPES[0]), ends=True), turns=turns)

    @precondition(lambda self: len(self.clients) < MAX_READERS)
    @rule(types=st.sampled_from(TYPES), turns=turns_of_loop)
    def a_reader_of_all_comes(self, types: frozenset[str], turns: int) -> None:
        reader = StreamReader(self.loop, lambda after: self.tail.tenant_events(TENANT, after, types))
        self.connect(Client(reader, lambda: self.events("", types), ends=False), turns=turns)

    def events(self, workload_id: str, types: frozenset[str]) -> list[int]:
        return [
            event.seq
            for event in self.stores.log.events
            if event.envelope.workload_id.startswith(workload_id) and (not types or event.envelope.type in types)
        ]


Lines.TestCase.settings = settings(max_examples=100, stateful_step_count=50, deadline=None, phases=PHASES)
Events.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None, phases=PHASES)
TestLines = Lines.TestCase
TestEvents = Events.TestCase
