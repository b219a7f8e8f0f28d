"""Followers: everything, in order, once, whatever happens to the server."""

import asyncio
import random
from collections.abc import Sequence
from contextlib import aclosing

import msgspec
import pytest

from support.eventlog import TENANT, schedule, submit
from support.nats import NatsServer
from vulcan_contracts import subjects
from vulcan_contracts.commands import RequestKill
from vulcan_contracts.events import Recorded
from vulcan_contracts.ids import new_workload_id
from vulcan_eventstore import jetstream
from vulcan_eventstore.connection import Bus
from vulcan_eventstore.errors import BusClosedError, PositionLostError
from vulcan_eventstore.follower import follow_events, follow_logs, last_event_seq
from vulcan_eventstore.log_writer import LogWriter
from vulcan_eventstore.ordered import OrderedReader
from vulcan_eventstore.workload_log import WorkloadLog


async def _collect(
    bus: Bus, count: int, *, filter_subject: str = subjects.ALL_EVENTS, after_seq: int | None = 0
) -> list[Recorded]:
    seen: list[Recorded] = []
    async with aclosing(follow_events(bus, filter_subject=filter_subject, after_seq=after_seq)) as batches:
        async for batch in batches:
            seen += batch
            if len(seen) >= count:
                return seen
    raise AssertionError("a follower does not end")


async def _submit_many(bus: Bus, count: int) -> None:
    log = WorkloadLog(bus)
    for _ in range(count):
        await log.execute(TENANT, new_workload_id(), submit(), actor="user:k", deadline_s=20.0)


def _seqs(events: Sequence[Recorded]) -> list[int]:
    return [event.seq for event in events]


async def test_past_and_future_in_order(bus: Bus) -> None:
    await _submit_many(bus, 20)
    follower = asyncio.create_task(_collect(bus, 40))
    await _submit_many(bus, 20)
    assert _seqs(await follower) == list(range(1, 41))


async def test_in_order_and_once_while_the_server_is_killed(nats_server: NatsServer, bus: Bus) -> None:
    total = 400
    follower = asyncio.create_task(_collect(bus, total))
    writers = [asyncio.create_task(_submit_many(bus, total // 8)) for _ in range(8)]
    for _ in range(3):
        await asyncio.sleep(random.uniform(0.05, 0.15))
        await nats_server.bounce(away_s=random.uniform(0.0, 0.2))
    await asyncio.gather(*writers)
    assert _seqs(await follower) == list(range(1, total + 1))


async def test_goes_on_after_a_server_that_stood_still(nats_server: NatsServer, bus: Bus) -> None:
    follower = asyncio.create_task(_collect(bus, 10))
    await _submit_many(bus, 5)
    with nats_server.frozen():
        await asyncio.sleep(4.0)  # longer than a follower takes silence for
    await _submit_many(bus, 5)
    assert _seqs(await follower) == list(range(1, 11))


async def test_goes_on_after_its_consumer_is_gone(bus: Bus) -> None:
    reader = OrderedReader(bus, subjects.EVENTS_STREAM, filter_subject="evt.>", after_seq=0, max_batch=10)
    await _submit_many(bus, 1)
    assert len(await reader.next()) == 1
    names = b"CONSUMER.NAMES.EVENTS"
    consumers = (await jetstream.call(bus, names.decode())).decode()
    name = consumers.split('"consumers":["')[1].split('"')[0]
    await jetstream.call(bus, f"CONSUMER.DELETE.EVENTS.{name}")
    await _submit_many(bus, 1)
    assert [each.seq for each in await reader.next()] == [2]
    await reader.close()


async def test_a_pull_that_is_done_leaves_no_doubt(bus: Bus) -> None:
    reader = OrderedReader(bus, subjects.EVENTS_STREAM, filter_subject="evt.>", after_seq=0, max_batch=10)
    await reader.open()
    before = await _consumers(bus)
    seen: list[int] = []
    for stored in (15, 30, 45):
        await _submit_many(bus, 15)
        while len(seen) < stored:
            seen += [each.seq for each in await reader.next()]
    assert seen == list(range(1, 46))
    assert await _consumers(bus) == before
    await reader.close()


async def _consumers(bus: Bus) -> list[str]:
    names: list[str] = msgspec.json.decode(await jetstream.call(bus, "CONSUMER.NAMES.EVENTS"))["consumers"]
    return names


async def test_a_filter_leaves_no_doubt(bus: Bus) -> None:
    log = WorkloadLog(bus)
    for _ in range(5):
        workload = new_workload_id()
        await log.execute(TENANT, workload, submit(), actor="user:k")
        await log.execute(TENANT, workload, schedule(), actor="scheduler")
        await log.execute(TENANT, workload, RequestKill(), actor="user:k")
    killed = await _collect(bus, 5, filter_subject=subjects.tenant_events("*", "killed"))
    assert _seqs(killed) == [3, 6, 9, 12, 15]
    assert _seqs(await _collect(bus, 3, filter_subject=subjects.tenant_events("*", "killed"), after_seq=6)) == [
        9,
        12,
        15,
    ]


async def test_new_only(bus: Bus) -> None:
    await _submit_many(bus, 5)
    anchor = await last_event_seq(bus)
    assert anchor == 5
    await _submit_many(bus, 2)
    assert _seqs(await _collect(bus, 2, after_seq=anchor)) == [6, 7]
    follower = asyncio.create_task(_collect(bus, 1, after_seq=None))
    await asyncio.sleep(0.2)
    await _submit_many(bus, 1)
    assert _seqs(await follower) == [8]


async def test_a_position_behind_the_end_is_said(bus: Bus) -> None:
    await _submit_many(bus, 2)
    with pytest.raises(PositionLostError):
        await _collect(bus, 1, after_seq=3)


async def test_what_is_no_event_is_skipped(bus: Bus) -> None:
    await _submit_many(bus, 1)
    await jetstream.publish(bus, "evt.acme.workload.wl_x.submitted", b"\xff not an envelope")
    await _submit_many(bus, 1)
    assert _seqs(await _collect(bus, 2)) == [1, 3]


async def test_a_busy_reader_is_not_buried(bus: Bus) -> None:
    await _submit_many(bus, 100)
    reader = OrderedReader(bus, subjects.EVENTS_STREAM, filter_subject="evt.>", after_seq=0, max_batch=10)
    first = await reader.next()
    await asyncio.sleep(0.3)
    assert len(first) <= 10
    pulled_meanwhile = 0
    while reader.buffered:
        pulled_meanwhile += len(await reader.next())
    assert pulled_meanwhile <= 20
    await reader.close()


async def test_ends_when_the_connection_is_closed(bus: Bus) -> None:
    follower = asyncio.create_task(_collect(bus, 1))
    await asyncio.sleep(0.1)
    await bus.close()
    with pytest.raises(BusClosedError):
        await follower


async def test_closing_a_follower_removes_its_consumer(bus: Bus) -> None:
    await _submit_many(bus, 1)
    await _collect(bus, 1)
    await bus.settle()
    assert b'"consumers":[]' in await jetstream.call(bus, "CONSUMER.NAMES.EVENTS")


async def test_log_batches_of_all_workloads(bus: Bus) -> None:
    for number in range(3):
        writer = await LogWriter.open(bus, tenant=TENANT, workload_id=f"wl_{number}", attempt=1)
        await writer.write("stdout", f"hello {number}")
        await writer.close()
    seen: list[str] = []
    async with aclosing(follow_logs(bus)) as batches:
        async for batch in batches:
            seen += [line.text for entry in batch for line in entry.batch.lines]
            if len(seen) == 3:
                break
    assert seen == ["hello 0", "hello 1", "hello 2"]
