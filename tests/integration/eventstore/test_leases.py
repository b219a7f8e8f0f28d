"""One holder at a time, and a next one when it goes or falls silent."""

import asyncio
import threading
import time

import msgspec

from support.nats import NatsServer
from vulcan_eventstore.connection import Bus
from vulcan_eventstore.lease import Lease
from vulcan_eventstore.streams import StreamSettings, ensure_streams


async def test_handed_over_when_given_back(bus: Bus) -> None:
    order: list[str] = []

    async def work(holder: str) -> None:
        async with Lease(bus, "scheduler", holder=holder, ttl_s=30.0).hold() as held:
            assert held.valid
            order.append(f"{holder} in")
            await asyncio.sleep(0.05)
            order.append(f"{holder} out")

    async with asyncio.timeout(10.0):
        await asyncio.gather(work("a"), work("b"), work("c"))
    assert len(order) == 6
    for enter, leave in zip(order[::2], order[1::2], strict=True):
        assert (enter.split()[0], leave.split()[0]) == (enter.split()[0], enter.split()[0])


async def test_kept_for_longer_than_its_time_to_live(bus: Bus) -> None:
    async with Lease(bus, "scheduler", holder="a", ttl_s=3.0).hold() as held:
        other = asyncio.create_task(_enter(Lease(bus, "scheduler", holder="b", ttl_s=3.0)))
        await asyncio.sleep(4.0)
        assert held.valid
        assert not other.done()
    async with asyncio.timeout(20.0):
        await other


async def test_taken_over_at_once_when_the_holder_is_gone(nats_server: NatsServer, bus: Bus) -> None:
    killed = await Bus.connect(nats_server.settings, name="killed")
    async with Lease(killed, "scheduler", holder="a", ttl_s=60.0).hold():
        await killed.close()
        async with asyncio.timeout(20.0):
            await _enter(Lease(bus, "scheduler", holder="b", ttl_s=60.0))


async def test_taken_over_when_the_holder_stands_still_for_its_time_to_live(nats_server: NatsServer, bus: Bus) -> None:
    holding, over = threading.Event(), threading.Event()

    async def stand_still() -> None:
        async with (
            await Bus.connect(nats_server.settings, name="still") as still,
            Lease(still, "scheduler", holder="a", ttl_s=2.0).hold() as held,
        ):
            holding.set()
            over.wait(30.0)  # and with it the whole loop
            assert not held.valid

    async with asyncio.timeout(30.0), asyncio.TaskGroup() as group:
        group.create_task(asyncio.to_thread(asyncio.run, stand_still()))
        await asyncio.to_thread(holding.wait)
        begun = time.monotonic()
        await _enter(Lease(bus, "scheduler", holder="b", ttl_s=2.0))
        waited_s = time.monotonic() - begun
        over.set()
    assert waited_s > 1.0


async def test_a_holder_that_comes_back_learns_at_once_that_another_has_it(nats_server: NatsServer, bus: Bus) -> None:
    async with Lease(bus, "scheduler", holder="a", ttl_s=60.0).hold() as held:
        other = Lease(bus, "scheduler", holder="b", ttl_s=60.0)
        assert await other._write(held.revision)
        await nats_server.bounce()
        async with asyncio.timeout(15.0):
            await held.lost.wait()


async def test_the_holder_knows_when_the_server_is_away_too_long(nats_server: NatsServer, bus: Bus) -> None:
    async with Lease(bus, "scheduler", holder="a", ttl_s=1.0).hold() as held:
        await asyncio.to_thread(nats_server.kill)
        async with asyncio.timeout(10.0):
            await held.lost.wait()
    await asyncio.to_thread(nats_server.start)


async def test_kept_over_a_short_restart(nats_server: NatsServer) -> None:
    settings = msgspec.structs.replace(nats_server.settings, request_timeout_s=1.0)
    async with await Bus.connect(settings, name="holder") as bus:
        await ensure_streams(bus, StreamSettings())
        async with Lease(bus, "scheduler", holder="a", ttl_s=6.0).hold() as held:
            for _ in range(2):
                await nats_server.bounce()
                await asyncio.sleep(2.2)
            assert held.valid


async def _enter(lease: Lease) -> None:
    async with lease.hold():
        pass
