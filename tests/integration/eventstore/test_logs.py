"""Log lines: contiguous, stored once, and only by the one who may."""

import asyncio
import random
import sys
from contextlib import aclosing
from pathlib import Path

import msgspec
import pytest

from support.eventlog import TENANT
from support.nats import NatsServer
from vulcan_contracts import subjects
from vulcan_contracts.logs import LogBatch, LogLine, decode_batch
from vulcan_eventstore import jetstream
from vulcan_eventstore.connection import Bus
from vulcan_eventstore.errors import EventStoreUnavailableError, LogFencedError
from vulcan_eventstore.follower import follow_logs
from vulcan_eventstore.log_reader import LogReader
from vulcan_eventstore.log_seal import seal
from vulcan_eventstore.log_tail import find_end, shut
from vulcan_eventstore.log_writer import LogWriter, LogWriterSettings
from vulcan_eventstore.streams import StreamSettings, ensure_streams

_ID = "wl_a"


async def _open(bus: Bus, attempt: int = 1, **changes: float) -> LogWriter:
    settings = msgspec.structs.replace(LogWriterSettings(linger_ms=5.0), **changes)
    return await LogWriter.open(bus, tenant=TENANT, workload_id=_ID, attempt=attempt, settings=settings)


async def _batches(bus: Bus) -> list[LogBatch]:
    stored = await jetstream.direct_many(bus, subjects.LOGS_STREAM, subjects.log(TENANT, _ID))
    return [decode_batch(each.data) for each in stored]


async def _texts(bus: Bus) -> list[str]:
    lines: list[LogLine] = []
    while page := await LogReader(bus).read(TENANT, _ID, after_line=len(lines)):
        lines += page
    assert [line.seq for line in lines] == list(range(1, len(lines) + 1))
    return [line.text for line in lines]


async def test_lines_are_numbered_batched_and_kept(bus: Bus) -> None:
    writer = await _open(bus)
    assert await writer.write("stdout", "one") == 1
    assert await writer.write("stderr", "två ☃") == 2
    assert await writer.write("stdout", "the rest", partial=True) == 3
    assert await writer.close() == 3
    assert await writer.close() == 3
    (batch,) = await _batches(bus)
    assert [(line.stream, line.text, line.partial) for line in batch.lines] == [
        ("stdout", "one", False),
        ("stderr", "två ☃", False),
        ("stdout", "the rest", True),
    ]
    with pytest.raises(RuntimeError):
        await writer.write("stdout", "too late")


async def test_nothing_written_is_no_line(bus: Bus) -> None:
    assert await (await _open(bus)).close() == 0
    assert await LogReader(bus).last_line(TENANT, _ID) == 0
    assert await LogReader(bus).read(TENANT, _ID) == []


async def test_lines_come_out_without_close(bus: Bus) -> None:
    writer = await _open(bus)
    await writer.write("stdout", "now")
    async with asyncio.timeout(20.0):
        while await LogReader(bus).last_line(TENANT, _ID) == 0:  # noqa: ASYNC110 - asks the server
            await asyncio.sleep(0.005)
    await writer.close()


async def test_batches_keep_to_their_limits(bus: Bus) -> None:
    writer = await _open(bus, max_batch_lines=10, max_batch_bytes=2000, max_buffered_bytes=4000)
    texts = [random.choice("abc") * random.choice((1, 10, 900, 3000)) for _ in range(200)]
    for text in texts:
        await writer.write("stdout", text)
    assert await writer.close() == 200
    assert await _texts(bus) == texts
    for batch in await _batches(bus):
        assert len(batch.lines) <= 10
        assert len(batch.lines) == 1 or sum(len(line.text) for line in batch.lines) <= 2000


async def test_a_hundred_thousand_lines(bus: Bus) -> None:
    writer = await _open(bus)
    for number in range(100_000):
        await writer.write("stdout", f"line {number}")
    assert await writer.close() == 100_000
    reader = LogReader(bus)
    assert await reader.last_line(TENANT, _ID) == 100_000
    for after in (0, 1, 499, 500, 501, 33_333, 70_000, 99_998, 99_999):
        lines = await reader.read(TENANT, _ID, after_line=after, limit=1000)
        assert [line.seq for line in lines] == list(range(after + 1, min(after + 1000, 100_000) + 1))
    assert await reader.read(TENANT, _ID, after_line=100_000) == []


async def test_reading_one_of_many_interleaved_logs(bus: Bus) -> None:
    writers = [await LogWriter.open(bus, tenant=TENANT, workload_id=f"wl_{n}", attempt=1) for n in range(4)]
    for number in range(700):
        for which, writer in enumerate(writers):
            if number < 700 - which * 200:
                await writer.write("stdout", str(number))
        if number % 7 == 0:
            await asyncio.sleep(0.025)  # so that there are many small batches
        if number == 200:
            break
    for number in range(201, 3000):
        await writers[0].write("stdout", str(number))
    for writer in writers:
        await writer.close()
    reader = LogReader(bus)
    for after in (0, 150, 600, 1200, 2500, 2999):
        lines = await reader.read(TENANT, "wl_0", after_line=after, limit=3)
        assert [line.text for line in lines] == [str(n) for n in range(after, min(after + 3, 3000))]
    assert await reader.last_line(TENANT, "wl_3") == 100


async def test_contiguous_while_the_server_is_killed(nats_server: NatsServer, bus: Bus) -> None:
    writer = await _open(bus, max_batch_lines=50, max_buffered_bytes=20_000)
    stop = asyncio.Event()
    written: list[str] = []

    async def write() -> None:
        while not stop.is_set():
            text = f"line {len(written)}"
            await writer.write("stdout", text)
            written.append(text)
            await asyncio.sleep(0)

    writing = asyncio.create_task(write())
    for _ in range(4):
        await asyncio.sleep(random.uniform(0.1, 0.3))
        await nats_server.bounce(away_s=random.uniform(0.0, 0.3))
    stop.set()
    await writing
    assert await writer.close() == len(written)
    assert await _texts(bus) == written


async def test_a_batch_whose_answer_came_too_late_is_stored_once(nats_server: NatsServer) -> None:
    settings = msgspec.structs.replace(nats_server.settings, request_timeout_s=0.2)
    async with await Bus.connect(settings, name="hasty") as bus:
        await ensure_streams(bus, StreamSettings())
        writer = await _open(bus)
        with nats_server.frozen():
            await writer.write("stdout", "once")
            await asyncio.sleep(1.0)
        await writer.write("stdout", "twice")
        assert await writer.close() == 2
        assert await _texts(bus) == ["once", "twice"]


async def test_gives_up_when_the_server_is_away_for_too_long(nats_server: NatsServer, bus: Bus) -> None:
    writer = await _open(bus, patience_s=0.3, max_buffered_bytes=1000)
    await asyncio.to_thread(nats_server.kill)

    async def fill() -> None:
        for _ in range(100):
            await writer.write("stdout", "x" * 100)

    with pytest.raises(EventStoreUnavailableError):
        await fill()
    with pytest.raises(EventStoreUnavailableError):
        await writer.close()
    assert isinstance(writer.error, EventStoreUnavailableError)


async def test_the_next_attempt_goes_on_numbering(bus: Bus) -> None:
    first = await _open(bus)
    await first.write("stdout", "one")
    await first.write("stdout", "two")
    await first.close()
    second = await _open(bus, attempt=2)
    assert await second.write("stdout", "three") == 3
    assert await second.close() == 3
    assert [batch.attempt for batch in await _batches(bus)] == [1, 2]


async def test_a_seal_ends_a_lost_writer(bus: Bus) -> None:
    zombie = await _open(bus)
    await zombie.write("stdout", "alive")
    async with asyncio.timeout(20.0):
        while await LogReader(bus).last_line(TENANT, _ID) == 0:  # noqa: ASYNC110 - asks the server
            await asyncio.sleep(0.005)

    assert await seal(bus, TENANT, _ID, 1, "node-1 was lost") == 2
    assert await seal(bus, TENANT, _ID, 1, "node-1 was lost") == 2

    await zombie.write("stdout", "a ghost")
    with pytest.raises(LogFencedError):
        await zombie.close()
    with pytest.raises(LogFencedError):
        await zombie.write("stdout", "again")
    assert await _texts(bus) == ["alive", "node-1 was lost"]


async def test_a_seal_before_the_first_line(bus: Bus) -> None:
    zombie = await _open(bus)
    assert await seal(bus, TENANT, _ID, 1, "lost") == 1
    await zombie.write("stdout", "late")
    with pytest.raises(LogFencedError):
        await zombie.close()


async def test_a_sealed_attempt_cannot_be_opened(bus: Bus) -> None:
    await seal(bus, TENANT, _ID, 2, "lost")
    with pytest.raises(LogFencedError):
        await _open(bus, attempt=2)
    third = await _open(bus, attempt=3)
    assert third.last_line == 1
    await third.close()


async def test_a_seal_gets_in_while_another_process_floods_the_log(nats_server: NatsServer, bus: Bus) -> None:
    zombie = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "support.flooding_writer", nats_server.url, _ID,
        cwd=Path(__file__).parents[2], stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(30.0):
            while await LogReader(bus).last_line(TENANT, _ID) < 1000:  # noqa: ASYNC110 - asks the server
                await asyncio.sleep(0.005)
        last = await seal(bus, TENANT, _ID, 1, "lost")
        out, _ = await asyncio.wait_for(zombie.communicate(), 30.0)
        assert out == b"fenced\n"
    finally:
        if zombie.returncode is None:
            zombie.kill()
            await zombie.wait()
    assert await LogReader(bus).last_line(TENANT, _ID) == last
    assert await seal(bus, TENANT, _ID, 1, "lost") == last
    reader = LogReader(bus)
    assert [line.text for line in await reader.read(TENANT, _ID, after_line=last - 1)] == ["lost"]
    for after in (0, last // 2, last - 700):
        lines = await reader.read(TENANT, _ID, after_line=max(0, after), limit=900)
        assert [line.seq for line in lines] == list(range(max(0, after) + 1, min(after + 900, last) + 1))


async def test_a_seal_that_was_cut_off_half_way_is_taken_up(bus: Bus) -> None:
    zombie = await _open(bus)
    for text in ("one", "two"):
        await zombie.write("stdout", text)
    async with asyncio.timeout(20.0):
        while await LogReader(bus).last_line(TENANT, _ID) < 2:  # noqa: ASYNC110 - asks the server
            await asyncio.sleep(0.005)
    await shut(bus, TENANT, _ID, await find_end(bus, TENANT, _ID))
    await shut(bus, TENANT, _ID, await find_end(bus, TENANT, _ID))

    await zombie.write("stdout", "a ghost")
    with pytest.raises(LogFencedError):
        await zombie.close()
    assert await LogReader(bus).last_line(TENANT, _ID) == 2
    async with aclosing(follow_logs(bus)) as followed:
        seen = [line.text for stored in await anext(followed) for line in stored.batch.lines]
    assert seen == await _texts(bus) == ["one", "two"]
    assert await seal(bus, TENANT, _ID, 1, "lost") == 3
    second = await _open(bus, attempt=2)
    assert await second.write("stdout", "three") == 4
    await second.close()
    assert await _texts(bus) == ["one", "two", "lost", "three"]


async def test_shut_out_before_the_first_line(bus: Bus) -> None:
    await shut(bus, TENANT, _ID, await find_end(bus, TENANT, _ID))
    assert await LogReader(bus).last_line(TENANT, _ID) == 0
    assert await LogReader(bus).read(TENANT, _ID) == []
    assert await seal(bus, TENANT, _ID, 1, "lost") == 1


async def test_no_seal_on_a_later_attempt(bus: Bus) -> None:
    second = await _open(bus, attempt=2)
    await second.write("stdout", "alive")
    await second.close()
    with pytest.raises(LogFencedError):
        await seal(bus, TENANT, _ID, 1, "lost")
    assert await _texts(bus) == ["alive"]


async def test_abandon_stops_at_once(nats_server: NatsServer, bus: Bus) -> None:
    writer = await _open(bus)
    await asyncio.to_thread(nats_server.kill)
    await writer.write("stdout", "never stored")
    await writer.abandon()
    await asyncio.to_thread(nats_server.start)
