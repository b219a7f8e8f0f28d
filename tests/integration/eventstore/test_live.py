"""The live copy: prompt while all is well, and honest when it is not."""

import asyncio

from support.eventlog import TENANT, submit
from support.nats import NatsServer
from vulcan_contracts.events import Recorded
from vulcan_contracts.ids import new_workload_id
from vulcan_eventstore.connection import Bus
from vulcan_eventstore.live import live_events, live_logs
from vulcan_eventstore.log_writer import LogWriter
from vulcan_eventstore.records import StoredBatch
from vulcan_eventstore.workload_log import WorkloadLog


async def test_events_as_they_are_stored(bus: Bus) -> None:
    seen: list[Recorded] = []
    feed = await live_events(bus, seen.append)
    executed = await WorkloadLog(bus).execute(TENANT, new_workload_id(), submit(), actor="user:k")
    await bus.settle()
    assert seen == [executed.event]
    await feed.close()
    await WorkloadLog(bus).execute(TENANT, new_workload_id(), submit(), actor="user:k")
    await bus.settle()
    assert len(seen) == 1


async def test_log_batches_tell_what_came_before(bus: Bus) -> None:
    seen: list[StoredBatch] = []
    feed = await live_logs(bus, seen.append)
    for attempt in (1, 2, 3):
        writer = await LogWriter.open(bus, tenant=TENANT, workload_id="wl_a", attempt=attempt)
        await writer.write("stdout", "x")
        await writer.close()
        other = await LogWriter.open(bus, tenant=TENANT, workload_id=f"wl_b{attempt}", attempt=1)
        await other.write("stdout", "y")
        await other.close()
    await bus.settle()
    mine = [each for each in seen if each.batch.workload_id == "wl_a"]
    assert [each.previous_seq for each in mine] == [0, mine[0].seq, mine[1].seq]
    assert [each.batch.first for each in mine] == [1, 2, 3]
    await feed.close()


async def test_a_lost_connection_is_said(nats_server: NatsServer, bus: Bus) -> None:
    gap = asyncio.Event()
    seen: list[Recorded] = []
    feed = await live_events(bus, seen.append, on_gap=gap.set)
    await nats_server.bounce()
    async with asyncio.timeout(10.0):
        await gap.wait()
    # Once the gap is said, the feed is whole again.
    await WorkloadLog(bus).execute(TENANT, new_workload_id(), submit(), actor="user:k")
    await bus.settle()
    assert len(seen) == 1
    await feed.close()


async def test_dropped_messages_are_said(bus: Bus) -> None:
    seen: list[bytes] = []

    async def slow(message: object) -> None:
        await asyncio.sleep(0.001)
        seen.append(b"")

    dropped = 0

    def overflow() -> None:
        nonlocal dropped
        dropped += 1

    subscription = await bus.subscribe("burst", slow, on_overflow=overflow, max_pending_messages=10)
    for _ in range(200):
        await bus.publish("burst", b"x")
    async with asyncio.timeout(20.0):
        while len(seen) + dropped < 200:  # noqa: ASYNC110 - until all of them are accounted for
            await asyncio.sleep(0.005)
    assert dropped > 0
    assert len(seen) + dropped == 200
    await subscription.close()


async def test_a_callback_that_fails_does_not_end_the_feed(bus: Bus) -> None:
    seen: list[Recorded] = []

    def fail_first(event: Recorded) -> None:
        seen.append(event)
        if len(seen) == 1:
            raise ValueError("not today")

    feed = await live_events(bus, fail_first)
    log = WorkloadLog(bus)
    for _ in range(3):
        await log.execute(TENANT, new_workload_id(), submit(), actor="user:k")
    await bus.settle()
    assert len(seen) == 3
    await feed.close()
