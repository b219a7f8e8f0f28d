import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from vulcan_contracts.logs import Stream
from vulcan_contracts.reasons import Reason
from vulcan_eventstore.errors import EventStoreError, EventStoreUnavailableError, LogFencedError
from vulcan_sandbox.ending import Cut
from vulcan_sandbox.output import Piece
from vulcan_sandbox.run_log import RunLog

MIB = 1_048_576


class Writer:
    """A log writer in memory, that can be made to wait or to fail."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, bool]] = []
        self.error: Exception | None = None
        self.open = asyncio.Event()
        self.open.set()
        self.closed = False

    async def write_many(self, stream: Stream, lines: Sequence[Piece]) -> int:
        await self.open.wait()
        if self.error is not None:
            raise self.error
        self.lines += [(stream, *piece) for piece in lines]
        return len(self.lines)

    async def close(self) -> int:
        if self.error is not None:
            raise self.error
        self.closed = True
        return len(self.lines)

    async def abandon(self) -> None:
        return


class Told:
    def __init__(self) -> None:
        self.cuts: list[Cut] = []
        self.broken: list[EventStoreError] = []


async def made(*, attach: bool = True, output_mb: int = 1, stall_s: float = 1.0) -> tuple[RunLog, Writer, Told]:
    told, writer = Told(), Writer()
    log = RunLog(
        output_mb=output_mb,
        max_line_bytes=64,
        stall_s=stall_s,
        on_cut=told.cuts.append,
        on_broken=told.broken.append,
    )
    if attach:
        await log.attach(writer)
    return log, writer, told


async def while_keeping_up(log: RunLog, work: Callable[[], Awaitable[None]]) -> None:
    keeping = asyncio.create_task(log.keep_up())
    try:
        async with asyncio.timeout(10):
            await work()
    finally:
        keeping.cancel()
        await asyncio.wait({keeping})


async def test_streams_are_split_each_by_itself() -> None:
    log, writer, _ = await made()
    await log("stdout", b"half ")
    await log("stderr", b"other\n")
    await log("stdout", b"line\nrest")
    assert await log.finish() == 3
    assert writer.lines == [("stderr", "other", False), ("stdout", "half line", False), ("stdout", "rest", True)]
    assert writer.closed


async def test_what_was_said_before_comes_first() -> None:
    log, writer, _ = await made(attach=False)
    log.say("pulling\nunpacking")
    await log.attach(writer)
    await log("stdout", b"out\n")
    await log.finish()
    assert [text for _, text, _ in writer.lines] == ["pulling", "unpacking", "out"]


async def test_what_is_said_comes_without_output() -> None:
    log, writer, _ = await made()

    async def work() -> None:
        log.say("hello")
        while not writer.lines:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0)

    await while_keeping_up(log, work)
    assert writer.lines == [("system", "hello", False)]


async def test_the_limit_cuts_at_the_byte() -> None:
    log, _, told = await made()
    line = b"x" * 63 + b"\n"
    for _ in range(MIB // 64):
        await log("stdout", line)
    assert told.cuts == []
    await log("stderr", b"one too many")
    assert [cut.reason for cut in told.cuts] == [Reason.OUTPUT_LIMIT]
    await log("stdout", b"swallowed")
    assert log.output_bytes == MIB
    assert await log.finish() == MIB // 64
    assert len(told.cuts) == 1


async def test_one_chunk_over_the_limit_keeps_its_beginning() -> None:
    log, writer, told = await made()
    await log("stdout", b"y" * (2 * MIB))
    await log.finish()
    assert sum(len(text) for _, text, _ in writer.lines) == MIB
    assert len(told.cuts) == 1


async def test_short_lines_count_as_what_they_cost_to_store() -> None:
    for data in (b"\n" * MIB, b"ab\n" * MIB, "ü\n".encode() * MIB):
        log, writer, told = await made()
        await log("stdout", data)
        await log("stderr", b"swallowed")
        await log.finish()
        assert MIB // 64 * 15 // 16 <= sum(not partial for _, _, partial in writer.lines) <= MIB // 64
        assert [cut.reason for cut in told.cuts] == [Reason.OUTPUT_LIMIT]


async def test_how_short_lines_are_handed_over_does_not_matter() -> None:
    whole, pieces = await made(), await made()
    data = b"x\n" * (MIB // 128)
    await whole[0]("stdout", data)
    for byte in data:
        await pieces[0]("stdout", bytes([byte]))
    assert whole[1].lines == pieces[1].lines
    assert whole[2].cuts == pieces[2].cuts == []


async def test_first_output_is_the_first_byte_and_no_empty_one() -> None:
    log, _, _ = await made()
    seen: list[float | None] = []
    for data in (b"", b"a", b"b"):
        await log("stdout", data)
        seen.append(log.first_output_at)
    assert seen[0] is None
    assert seen[1] is not None
    assert seen[2] == seen[1]


async def test_a_log_that_breaks_is_told_once_and_swallows() -> None:
    for error in (LogFencedError("taken"), EventStoreUnavailableError("away")):
        log, writer, told = await made()
        await log("stdout", b"a\n")
        writer.error = error
        await log("stdout", b"b\nc\nd\n")
        await log("stderr", b"e\n")
        assert told.broken == [error]
        assert writer.lines == [("stdout", "a", False)]
        with pytest.raises(type(error)):
            await log.finish()


async def test_a_log_that_breaks_in_silence_is_noticed() -> None:
    log, writer, told = await made()

    async def work() -> None:
        writer.error = LogFencedError("taken")
        while not told.broken:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.01)

    await while_keeping_up(log, work)


async def test_backpressure_reaches_the_backend() -> None:
    log, writer, _ = await made(stall_s=0.01)
    writer.open.clear()
    writing = asyncio.create_task(log("stdout", b"a\n"))
    await asyncio.sleep(0.05)
    assert not writing.done()
    assert log.stalled_s >= 0.01, "what still waits counts already"
    writer.open.set()
    await writing
    assert log.stalled_s >= 0.03, "what has waited still counts"


async def test_a_quick_log_is_no_stall() -> None:
    log, _, _ = await made()
    await log("stdout", b"a\n" * 1000)
    assert log.stalled_s == 0


async def test_a_cancelled_write_loses_and_doubles_nothing() -> None:
    log, writer, _ = await made()
    await log("stdout", b"1\n")
    writer.open.clear()
    writing = asyncio.create_task(log("stdout", b"2\n3\n4"))
    await asyncio.sleep(0)
    writing.cancel()
    await asyncio.wait({writing})
    writer.open.set()
    await log.finish()
    assert [text for _, text, _ in writer.lines] == ["1", "2", "3", "4"]


async def test_two_readers_do_not_mix_lines() -> None:
    log, writer, _ = await made()
    await asyncio.gather(*(log(stream, b"%d\n" % number) for number in range(100) for stream in ("stdout", "stderr")))
    for stream in ("stdout", "stderr"):
        assert [text for name, text, _ in writer.lines if name == stream] == [str(number) for number in range(100)]


async def test_what_is_printed_before_there_is_a_log_is_held() -> None:
    log, writer, _ = await made(attach=False)
    await log("stdout", b"one\ntwo\nhal")
    log.say("said later, told first")
    assert writer.lines == []
    await log.attach(writer)
    assert [text for _, text, _ in writer.lines] == ["said later, told first", "one", "two"]
    await log("stdout", b"f\n")
    assert await log.finish() == 4


async def test_what_is_held_is_bounded() -> None:
    log, writer, _ = await made(attach=False)
    line = b"z" * 63 + b"\n"
    flood = [asyncio.create_task(log("stdout", line * 1024)) for _ in range(2)]
    done, waiting = await asyncio.wait(flood, timeout=0.1)
    assert not done
    assert not writer.lines
    await log.attach(writer)
    await asyncio.wait(waiting, timeout=10)
    assert await log.finish() == 2048


async def test_code_that_waits_for_a_log_is_let_go_when_nothing_of_it_is_wanted() -> None:
    log, _, _ = await made(attach=False)
    waiting = asyncio.create_task(log("stdout", b"z\n" * 100_000))
    await asyncio.wait({waiting}, timeout=0.05)
    assert not waiting.done()
    log.swallow()
    await asyncio.wait({waiting}, timeout=10)
    assert waiting.done()
    assert await log.finish() == 0
