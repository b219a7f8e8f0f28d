import asyncio
from collections.abc import AsyncIterator

import pytest

from support.fake_executor import executing
from support.nats import NatsServer
from support.schedulers import Client, SchedulerProcess, scheduling, until
from vulcan_contracts import subjects
from vulcan_eventstore.blobs import Blobs
from vulcan_eventstore.connection import Bus
from vulcan_scheduler.log.checkpoints import NAME


async def test_a_killed_active_scheduler_is_replaced(nats_server: NatsServer, bus: Bus) -> None:
    client = Client(bus)
    processes = [SchedulerProcess(nats_server, f"s{number}") for number in range(3)]
    try:
        async with executing(bus, "n1", slots=8, run_s=0.01) as executor:
            for _ in range(2):

                async def one_is_active() -> SchedulerProcess | None:
                    return next((each for each in processes if each.said("active")), None)

                active = await until(one_is_active)
                assert sum(each.said("active") for each in processes) == 1
                for _ in range(60):
                    await client.submit()
                active.kill()
                processes.remove(active)
            states = await client.all_ended()
        assert {state.state for state in states} == {"completed"}
        assert len(executor.started) == 120
        assert processes[0].terminate() == 0
    finally:
        for each in processes:
            each.kill()


async def test_a_restart_goes_on_from_its_checkpoint(nats_server: NatsServer, bus: Bus) -> None:
    client = Client(bus)
    async with scheduling(nats_server), executing(bus, "n1"):
        for _ in range(5):
            await client.submit()
        await client.all_ended()
    waiting = [await client.submit() for _ in range(3)]
    info = await Blobs(bus, subjects.CHECKPOINTS_BUCKET).info(NAME)
    assert info is not None
    async with scheduling(nats_server), executing(bus, "n1") as executor:
        await client.all_ended()
    assert executor.started == waiting


@pytest.mark.parametrize("broken", [b"", b"nonsense", b"\x00\x00\x00\x10cut off"])
async def test_a_broken_checkpoint_is_passed_over(nats_server: NatsServer, bus: Bus, broken: bytes) -> None:
    async def content() -> AsyncIterator[bytes]:
        yield broken

    await Blobs(bus, subjects.CHECKPOINTS_BUCKET).put(NAME, content())
    client = Client(bus)
    await client.submit()
    async with scheduling(nats_server), executing(bus, "n1"):
        (state,) = await client.all_ended()
    assert state.state == "completed"


async def test_survives_a_killed_nats_server(nats_server: NatsServer, bus: Bus) -> None:
    client = Client(bus)
    async with scheduling(nats_server), executing(bus, "n1", slots=8, run_s=0.02) as executor:
        for _ in range(100):
            await client.submit()
        await nats_server.bounce(1.0)
        for _ in range(20):
            await client.submit()
        states = await client.all_ended()
        assert {state.state for state in states} == {"completed"}
        assert sorted(executor.started) == sorted(workload_id for _, workload_id in client.ids)
        assert executor.most_at_once <= 8


@pytest.mark.parametrize("keep_state_bytes", [4096, 10])
async def test_what_the_server_forgot_is_offered_again(
    nats_server: NatsServer, bus: Bus, keep_state_bytes: int
) -> None:
    client = Client(bus)
    tuning = {"dispatch_timeout_s": 3600.0, "keep_state_bytes": keep_state_bytes}
    async with scheduling(nats_server, **tuning), executing(bus, "n1") as executor:
        executor.claiming = False
        await asyncio.sleep(0.6)  # a pull that is under way ends
        ids = [await client.submit() for _ in range(4)]

        async def assigned() -> bool:
            return all([(await client.state(workload_id)).node == "n1" for workload_id in ids])

        await until(assigned)
        await nats_server.bounce()
        executor.claiming = True
        await client.all_ended()
        assert sorted(executor.started) == sorted(ids)


async def test_a_long_absence_of_nats_loses_no_run(nats_server: NatsServer, bus: Bus) -> None:
    client = Client(bus)
    async with scheduling(nats_server), executing(bus, "n1", run_s=None) as executor:
        workload_id = await client.submit()

        async def started() -> bool:
            return executor.started == [workload_id]

        await until(started)
        await nats_server.bounce(3.0)  # longer than it takes a silent node to be lost
        await asyncio.sleep(0.3)
        executor.finish.set()
        (state,) = await client.all_ended()
    assert state.state == "completed"
