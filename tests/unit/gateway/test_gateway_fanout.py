"""Live lines on their short way to many readers: each gets each line once, in order, whatever it is that it awaits."""

import asyncio
import re
from contextlib import ExitStack
from datetime import UTC, datetime

import pytest

from support.quick_time import QuickLoop
from vulcan_contracts.events import (
    Completed,
    Envelope,
    EventData,
    Failed,
    Killed,
    KillRequested,
    Recorded,
    encode_data,
    type_name,
)
from vulcan_contracts.logs import LogBatch, LogLine
from vulcan_contracts.outcome import Outcome
from vulcan_contracts.reasons import Reason
from vulcan_contracts.spec import InlineSource, Spec
from vulcan_contracts.workload import Workload, evolve
from vulcan_gateway.domain.views import end_told_by, logs_done
from vulcan_gateway.live.fanout import FEW
from vulcan_gateway.live.hub import Hub
from vulcan_gateway.live.line_feed import LineFeed
from vulcan_gateway.permits import Permits

TIME = datetime(2026, 1, 1, tzinfo=UTC)
SILENCE_S = 30.0


class Socket:
    """Takes what is written to it, as long as it is open."""

    def __init__(self) -> None:
        self.open = True
        self.writes: list[bytes] = []

    def write(self, chunk: bytes) -> bool:
        if self.open:
            self.writes.append(chunk)
        return self.open

    @property
    def lines(self) -> list[int]:
        return [int(number) for chunk in self.writes for number in re.findall(rb"id: (\d+)\n", chunk)]


class Reader:
    """What a stream's task does: it follows, and takes what did not come the short way."""

    def __init__(self, feed: LineFeed, socket: Socket) -> None:
        self.feed = feed
        self.socket = socket
        self.position = 0
        self.silent = False

    async def follow(self) -> None:
        self.position, something = await self.feed.follow(self.position, SILENCE_S)
        self.silent = not something


def batch(first: int, last: int) -> LogBatch:
    lines = [LogLine(seq=seq, time=TIME, stream="stdout", text=str(seq)) for seq in range(first, last + 1)]
    return LogBatch(workload_id="w", tenant="t", attempt=1, lines=lines)


async def followers(stack: ExitStack, hub: Hub, count: int) -> list[Reader]:
    sockets = [Socket() for _ in range(count)]
    readers = [Reader(stack.enter_context(hub.follow_lines("t", "w", socket)), socket) for socket in sockets]
    for reader in readers:
        task = asyncio.create_task(reader.follow())
        stack.callback(task.cancel)
    await asyncio.sleep(0)
    return readers


async def until_all_have(readers: list[Reader], lines: int) -> None:
    async with asyncio.timeout(20):
        while True:
            if all(reader.socket.lines == list(range(1, lines + 1)) for reader in readers):
                return
            await asyncio.sleep(0.001)


async def test_a_few_have_a_line_before_hearing_it_returns() -> None:
    hub = Hub(buffer_bytes=1_000_000)
    with ExitStack() as stack:
        readers = await followers(stack, hub, 3)
        hub.hear_lines(1, batch(1, 2))
        assert [reader.socket.lines for reader in readers] == [[1, 2]] * 3
        assert readers[0].socket.writes[0] is readers[1].socket.writes[0]


async def test_many_get_all_in_fewer_writes_and_the_loop_has_its_turns() -> None:
    hub = Hub(buffer_bytes=1_000_000)
    with ExitStack() as stack:
        readers = await followers(stack, hub, FEW * 5 + 1)
        for number in range(1, 21):
            hub.hear_lines(number, batch(number, number))
        assert 0 < sum(1 for reader in readers if reader.socket.writes) < len(readers)
        await until_all_have(readers, 20)
        assert {len(reader.socket.writes) for reader in readers} == {2}


async def test_an_event_comes_after_the_lines_before_it() -> None:
    hub = Hub(buffer_bytes=1_000_000)
    with ExitStack() as stack:
        readers = await followers(stack, hub, FEW * 3)
        hub.hear_lines(1, batch(1, 3))
        hub.hear_lines(2, batch(4, 6))
        hub._lines["t", "w"].flush()
        assert [reader.socket.lines for reader in readers] == [[1, 2, 3, 4, 5, 6]] * len(readers)


async def test_what_waits_for_the_next_round_is_bounded() -> None:
    hub = Hub(buffer_bytes=2000)
    with ExitStack() as stack:
        readers = await followers(stack, hub, FEW * 3)
        for number in range(1, 51):
            hub.hear_lines(number, batch(number, number))
        assert all(reader.socket.lines[-1:] >= [40] for reader in readers)
        await until_all_have(readers, 50)


async def test_lines_behind_a_gap_are_not_joined_with_those_before_it() -> None:
    hub = Hub(buffer_bytes=1_000_000)
    with ExitStack() as stack:
        readers = await followers(stack, hub, FEW + 1)
        hub.hear_lines(1, batch(1, 1))
        hub.hear_lines(2, batch(2, 2))
        hub.hear_lines(3, batch(5, 5))
        hub._lines["t", "w"].flush()
        assert [reader.socket.lines for reader in readers] == [[1, 2]] * len(readers)
        assert all(not reader.feed.empty for reader in readers)


async def test_who_comes_or_goes_in_the_middle_of_a_round() -> None:
    hub = Hub(buffer_bytes=1_000_000)
    with ExitStack() as stack:
        readers = await followers(stack, hub, FEW * 3)
        with ExitStack() as leaving:
            await followers(leaving, hub, FEW * 3)
            hub.hear_lines(1, batch(1, 1))
        late = await followers(stack, hub, 1)
        hub.hear_lines(2, batch(2, 2))
        await until_all_have(readers, 2)
        assert late[0].socket.lines == []
        await asyncio.sleep(0)
        assert late[0].position == 0
        assert not late[0].silent, "it hears of a gap, and reads history"
    assert hub.readers == 0


async def test_a_client_that_does_not_keep_up_has_its_task_woken() -> None:
    hub = Hub(buffer_bytes=1_000_000)
    with ExitStack() as stack:
        (slow, quick) = await followers(stack, hub, 2)
        hub.hear_lines(1, batch(1, 1))
        slow.socket.open = False
        hub.hear_lines(2, batch(2, 3))
        slow.socket.open = True
        hub.hear_lines(3, batch(4, 4))
        assert quick.socket.lines == [1, 2, 3, 4]
        assert slow.socket.lines == [1], "not past what waits"
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert slow.position == 1
        assert [heard.size_bytes > 0 for heard in slow.feed.take().items] == [True, True]


@pytest.mark.parametrize("disturb", ["miss", "close"])
async def test_who_has_missed_something_or_is_to_end_gets_no_more_lines(disturb: str) -> None:
    hub = Hub(buffer_bytes=1_000_000)
    with ExitStack() as stack:
        (reader,) = await followers(stack, hub, 1)
        {"miss": hub.resync, "close": hub.close}[disturb]()
        hub.hear_lines(1, batch(1, 1))
        assert reader.socket.lines == []


def test_silence_is_told_once_nothing_came_for_so_long() -> None:
    loop = QuickLoop()

    async def story() -> None:
        hub = Hub(buffer_bytes=1_000_000)
        with hub.follow_lines("t", "w", socket := Socket()) as feed:
            following = asyncio.create_task(feed.follow(0, SILENCE_S))
            for number in range(1, 7):
                await asyncio.sleep(SILENCE_S / 2)
                hub.hear_lines(number, batch(number, number))
            last_s = loop.time()
            assert not following.done()
            assert await following == (6, False)
            assert loop.time() == pytest.approx(last_s + SILENCE_S, abs=0.1)
            assert socket.lines == [1, 2, 3, 4, 5, 6]

    loop.run_until_complete(story())
    loop.close()


@pytest.mark.parametrize(
    ("data", "state"),
    [
        (Completed(outcome=Outcome(exit_code=0, last_line=7)), "completed"),
        (Failed(outcome=Outcome(reason=Reason.EXIT_NONZERO, exit_code=3, message="no", last_line=7)), "failed"),
        (Killed(outcome=Outcome(reason=Reason.KILLED_BY_USER, last_line=7)), "killed"),
        (KillRequested(), None),
    ],
)
def test_the_end_that_an_event_tells_is_the_end_that_the_state_shows(data: EventData, state: str | None) -> None:
    envelope = Envelope(
        id="ev_1",
        type=type_name(data),
        workload_id="w",
        tenant="t",
        actor="x",
        time=TIME,
        version=2,
        attempt=1,
        data=encode_data(data),
    )
    told = end_told_by(Recorded(seq=2, envelope=envelope))
    submitted = Workload(
        id="w",
        tenant="t",
        spec=Spec(source=InlineSource(code="1"), runtime="javascript"),
        fingerprint="",
        state="running",
        version=1,
        attempt=1,
        submitted_at=TIME,
    )
    assert told == (None if state is None else logs_done(evolve(submitted, envelope, data)))
    assert told is None or told.state == state


def test_a_permit_ends_for_all_streams_of_its_key_and_for_good() -> None:
    permits = Permits()
    one, other, stranger = (permits.of(key, valid=True) for key in ("a", "a", "b"))
    permits.changed("a", None)
    assert (one.valid, other.valid, stranger.valid) == (False, False, True)
    assert permits.of("a", valid=True).valid, "the key was made again"
    assert not one.valid
    assert not permits.of("c", valid=False).valid
