"""A gateway's streams, from the hub to the frames of the answer, with everything around them that can go wrong.

What answers the gateway is in memory: the stores, and the time. Machines add what happens, and who reads.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, NamedTuple

from hypothesis import Phase
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from support.memory_stores import RemoteEvents, RemoteLog, Stores
from support.quick_time import QuickLoop
from support.stream_readers import Body, StreamReader
from vulcan_contracts import commands
from vulcan_contracts.events import Recorded
from vulcan_contracts.logs import LogBatch
from vulcan_contracts.reasons import Reason
from vulcan_contracts.spec import InlineSource, Retry, Spec
from vulcan_contracts.workload import Workload, fold
from vulcan_gateway.live.hub import Hub
from vulcan_gateway.live.tail import Tail, TailSettings

PHASES: Final = (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)
TENANT, OURS, NEIGHBOUR = "t", "wl_ours", "wl_neighbour"
TIME = datetime(2026, 1, 1, tzinfo=UTC)
SETTINGS = TailSettings(keep_alive_s=10.0, page_lines=5, retry_s=0.5, end_patience_s=1e9)
LONG_S: Final = 60.0
"""Longer than any pause of a reader, times what it may have to ask one after the other."""
HEALED_S: Final = 8.0
"""Longer than an answer takes that was asked for while the stores were slow; less than readers wait to look again."""
PROMPT_S: Final = 1.0
BUFFER_BYTES: Final = 2000
MAX_READERS: Final = 5

Message = tuple[int, LogBatch] | Recorded
fates = st.sampled_from(["heard", "heard", "heard", "heard", "twice", "late", "lost"])
rarely = st.sampled_from([False, False, True])
turns_of_loop = st.sampled_from([0, 1, 2, 5, 20, 20])
"""Few: things happen while readers are under way. Many: they wait for the next already."""
which_reader = st.integers(0, MAX_READERS - 1)


class Client(NamedTuple):
    """A reader, and the ids that it is to get in the end. Of those from 1 to `gone`, it may miss some."""

    reader: StreamReader
    wanted: Callable[[], list[int]]
    ends: bool
    gone: Callable[[], int] = lambda: 0


class Streams(RuleBasedStateMachine):
    """The gateway and its readers; one workload, and its neighbours."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = QuickLoop()
        self.stores = Stores(TENANT, OURS)
        self.clients: list[Client] = []
        self.underway: list[Message] = []
        """What was stored and may still be heard, late and again."""
        self.batches = 0
        self.neighbours = 0
        self.gateway_begins()

    def gateway_begins(self) -> None:
        self.hub = Hub(buffer_bytes=BUFFER_BYTES)
        stores = self.stores
        self.tail = Tail(self.hub, RemoteLog(stores), stores.history(), RemoteEvents(stores), SETTINGS)

    # What happens.

    @property
    def state(self) -> Workload:
        state = fold([event for event in self.stores.log.events if event.envelope.workload_id == OURS])
        assert state is not None
        return state

    def submit(self, workload_id: str, attempts: int = 1) -> None:
        retry = Retry(max_attempts=attempts, on=[Reason.EXIT_NONZERO, Reason.EXECUTOR_LOST])
        spec = Spec(source=InlineSource(code="1"), retry=retry)
        self.execute(workload_id, commands.Submit(spec=spec, fingerprint="f"), "heard")

    def execute(self, workload_id: str, command: commands.Command, fate: str) -> None:
        done = self.loop.run_until_complete(self.stores.log.execute(TENANT, workload_id, command, actor="a"))
        if done.event is not None:
            self.hear(done.event, fate)

    def batch(self, batch: LogBatch, fate: str) -> None:
        self.batches += 1
        self.hear((self.batches, batch), fate)

    def hear(self, message: Message, fate: str) -> None:
        if self.stores.nats_away or fate == "lost":
            return
        if fate != "heard":
            self.underway.append(message)
        if fate == "late":
            return
        if isinstance(message, Recorded):
            self.hub.hear_event(message)
        else:
            self.hub.hear_lines(*message)

    @precondition(lambda self: self.underway)
    @rule(which=st.integers(0, 100), again=st.booleans())
    def something_is_heard_late(self, which: int, again: bool) -> None:
        at = which % len(self.underway)
        self.hear(self.underway[at] if again else self.underway.pop(at), "heard")

    @rule(fate=fates, turns=turns_of_loop)
    def a_neighbour_is_submitted_and_killed(self, fate: str, turns: int) -> None:
        self.neighbours += 1
        self.submit(f"{NEIGHBOUR}_{self.neighbours}")
        self.execute(f"{NEIGHBOUR}_{self.neighbours}", commands.RequestKill(), fate)
        self.turn(turns)

    def turn(self, turns: int) -> None:
        for _ in range(turns):
            self.loop.pass_time(0.0)

    @rule(seconds=st.sampled_from([0.005, 0.2, 3.0, 11.0]))
    def time_passes(self, seconds: float) -> None:
        self.loop.pass_time(seconds)

    # What is wrong.

    @rule(hidden=st.sampled_from([0, 0, 0, 1, 2, 5, 20]))
    def a_replica_lags(self, hidden: int) -> None:
        self.stores.hidden = hidden

    @rule(away=rarely)
    def nats_goes_or_comes(self, away: bool) -> None:
        if self.stores.nats_away and not away:
            self.hub.resync()
        self.stores.nats_away = away

    @rule(slow_s=st.sampled_from([0.0, 0.0, 0.0, 0.01, 0.3, 7.0]), old_answers=st.booleans())
    def the_stores_are_slow(self, slow_s: float, old_answers: bool) -> None:
        self.stores.slow_s, self.stores.old_answers = slow_s, old_answers

    # Who reads.

    def connect(self, client: Client, body: Body | None = None, *, turns: int = 0) -> None:
        self.clients.append(client)
        client.reader.connect(body)
        self.turn(turns)

    @precondition(lambda self: self.clients)
    @rule(which=which_reader, paused=rarely)
    def a_reader_stalls_or_goes_on(self, which: int, paused: bool) -> None:
        self.clients[which % len(self.clients)].reader.pause(paused=paused)

    @precondition(lambda self: self.clients)
    @rule(which=which_reader, lost=st.integers(0, 4), turns=turns_of_loop)
    def a_connection_breaks(self, which: int, lost: int, turns: int) -> None:
        reader = self.clients[which % len(self.clients)].reader
        reader.break_off(lost)
        self.turn(turns)
        reader.connect()

    @rule(turns=turns_of_loop)
    def another_gateway(self, turns: int) -> None:
        """This one stops; everybody comes back to the next, which has heard nothing yet."""
        self.hub.close()
        self.turn(turns)
        self.gateway_begins()
        for client in self.clients:
            if not client.reader.done:
                client.reader.disconnect()
                client.reader.connect()

    # What always holds.

    @invariant()
    def each_once_in_order_and_none_left_out(self) -> None:
        for client in self.clients:
            got, wanted = client.reader.got, client.wanted()
            if not got:
                continue
            assert got == sorted(set(got)), "twice, or out of order"
            so_far = set(wanted[: wanted.index(got[-1]) + 1])
            assert set(got) <= so_far, "not wanted"
            assert so_far - set(got) <= set(range(1, client.gone() + 1)), "left out"

    @invariant()
    def nobody_ends_early(self) -> None:
        for client in self.clients:
            connected = client.reader.connected()
            assert connected or client.reader.done, "an end without its message"
            if client.reader.done:
                assert client.ends
                assert self.state.ended
                self.is_level(client)

    def is_level(self, client: Client) -> None:
        last = client.wanted()[-1:]
        assert client.reader.got[-1:] == last or last[0] <= client.gone(), "not level"

    def all_are_level(self) -> None:
        for client in self.clients:
            self.is_level(client)

    @precondition(lambda self: self.clients)
    @rule()
    def once_nothing_is_wrong_everybody_is_level(self) -> None:
        self.heal()
        self.loop.pass_time(LONG_S)
        self.all_are_level()

    @precondition(lambda self: self.clients and not self.state.ended)
    @rule(heard=st.lists(st.tuples(st.booleans(), turns_of_loop), min_size=1, max_size=6))
    def what_is_lost_is_noticed_with_the_next(self, heard: list[tuple[bool, int]]) -> None:
        """Not only when the time has come to look for it."""
        self.heal()
        self.loop.pass_time(HEALED_S)
        for each, turns in heard:
            self.something_happens("heard" if each else "lost")
            self.turn(turns)
        self.something_happens("heard")
        self.loop.pass_time(PROMPT_S)
        self.all_are_level()

    @precondition(lambda self: self.clients and not self.state.ended)
    @rule(turns=turns_of_loop)
    def what_was_missed_while_away_is_read_at_once(self, turns: int) -> None:
        self.heal()
        self.loop.pass_time(HEALED_S)
        self.nats_goes_or_comes(away=True)
        self.something_happens("heard")
        self.turn(turns)
        self.nats_goes_or_comes(away=False)
        self.loop.pass_time(PROMPT_S)
        self.all_are_level()

    @precondition(lambda self: self.clients and self.may_end())
    @rule(fate=fates)
    def an_end_that_is_heard_is_told_at_once(self, fate: str) -> None:
        self.heal()
        self.loop.pass_time(HEALED_S)
        self.something_happens(fate)
        self.end("heard")
        self.loop.pass_time(PROMPT_S)
        for client in self.clients:
            self.is_level(client)
            assert client.reader.done == client.ends, "no end"

    def heal(self) -> None:
        if self.stores.nats_away:
            self.hub.resync()
        self.stores.whole()
        for client in self.clients:
            client.reader.pause(paused=False)

    def teardown(self) -> None:
        try:
            if self.stores.log.events:
                self.all_end_whole()
        finally:
            for client in self.clients:
                client.reader.disconnect()
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            self.loop.close()

    def all_end_whole(self) -> None:
        """It ends, nothing is wrong any more: everybody has everything."""
        if not self.state.ended:
            self.end("lost")
        self.heal()
        self.loop.pass_time(LONG_S)
        self.each_once_in_order_and_none_left_out()
        self.nobody_ends_early()
        for client in self.clients:
            self.is_level(client)
            assert client.reader.done == client.ends

    def something_happens(self, fate: str) -> None:
        """That readers are to hear of."""
        raise NotImplementedError

    def may_end(self) -> bool:
        """Whether it is time for that."""
        raise NotImplementedError

    def end(self, fate: str) -> None:
        """The workload comes to its end."""
        raise NotImplementedError
