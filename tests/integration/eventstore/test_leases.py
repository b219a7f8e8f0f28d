"""One holder at a time, and a next one when it goes or falls silent."""

import asyncio

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


async def test_taken_over_when_the_holder_falls_silent(nats_server: NatsServer, bus: Bus) -> None:
    silent = await Bus.connect(nats_server.settings, name="silent")
    async with Lease(silent, "scheduler", holder="a", ttl_s=1.0).hold() as held:
        await silent.close()
        async with asyncio.timeout(10.0):
            await _enter(Lease(bus, "scheduler", holder="b", ttl_s=1.0))
        assert not held.valid
        assert held.lost.is_set()


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
