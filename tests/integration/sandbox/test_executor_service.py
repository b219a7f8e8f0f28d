"""The whole executor service, as an executor's wiring starts it."""

import asyncio
from collections.abc import Callable

from support.executors import Platform
from support.fake_programs import script
from vulcan_chassis.service import Service, ServiceSettings
from vulcan_contracts import subjects
from vulcan_contracts.nodes import Heartbeat
from vulcan_eventstore import broadcast
from vulcan_eventstore.connection import Bus
from vulcan_eventstore.log_writer import LogWriterSettings
from vulcan_sandbox.attempt import NodeIdentity
from vulcan_sandbox.executor import start_executor
from vulcan_sandbox.fake import FakeBackend
from vulcan_sandbox.run_loop import Executor
from vulcan_sandbox.settings import ExecutorSettings

SETTINGS = ExecutorSettings(heartbeat_interval_s=0.05, drain_s=0.2, probe_interval_s=0.1, claim_wait_s=0.5)


class Beats:
    def __init__(self) -> None:
        self.heard: list[Heartbeat] = []
        self._more = asyncio.Event()

    def __call__(self, heartbeat: Heartbeat) -> None:
        self.heard.append(heartbeat)
        self._more.set()

    async def until(self, wanted: Callable[[Heartbeat], bool]) -> Heartbeat:
        async with asyncio.timeout(20):
            while True:
                if self.heard and wanted(self.heard[-1]):
                    return self.heard[-1]
                self._more.clear()
                await self._more.wait()


async def started(bus: Bus, backend: FakeBackend, service: Service) -> Executor:
    return await start_executor(
        service, bus, backend, node="node-1", settings=SETTINGS, log_settings=LogWriterSettings()
    )


def identity(heartbeat: Heartbeat) -> NodeIdentity:
    return NodeIdentity(node=heartbeat.node, incarnation=heartbeat.incarnation)


async def test_beats_runs_and_says_goodbye(bus: Bus) -> None:
    platform, backend, beats = Platform(bus), FakeBackend(), Beats()
    await broadcast.subscribe(bus, subjects.HEARTBEATS, Heartbeat, beats)
    service = Service("executor-v8", ServiceSettings())
    await started(bus, backend, service)
    first = await beats.until(lambda beat: beat.state == "ready")
    assert (first.node, first.interval_s, first.backend.engine) == ("node-1", 0.05, "fake")
    assert first.capacity == backend.limits

    me = identity(first)
    quick = await platform.submit(script("print hi"))
    await platform.give(quick, me)
    assert (await platform.ended(quick)).state == "completed"
    slow = await platform.submit(script("print ready", "hang", grace_s=0))
    await platform.give(slow, me)
    await beats.until(lambda beat: beat.used.slots == 1)
    await platform.until_line(slow, "ready")

    stopping = asyncio.create_task(service.close())
    await beats.until(lambda beat: beat.state == "draining")
    assert await stopping
    await beats.until(lambda beat: beat.state == "stopped")
    state = await platform.state(slow)
    assert state.outcome is not None
    assert state.outcome.reason == "executor_lost"
    assert backend.sandboxes == set()
    assert not backend.root.exists()

    text = service.registry.get_sample_value("vulcan_runs_ended_total", {"backend": "v8", "reason": "none"})
    lost = service.registry.get_sample_value("vulcan_runs_ended_total", {"backend": "v8", "reason": "executor_lost"})
    assert (text, lost) == (1.0, 1.0)
    prepared = service.registry.get_sample_value("vulcan_run_prepare_seconds_count", {"backend": "v8"})
    assert prepared == 2.0


async def test_each_life_has_its_own_incarnation(bus: Bus) -> None:
    lives: list[str] = []
    for _ in range(2):
        service = Service("executor-v8", ServiceSettings())
        executor = await started(bus, FakeBackend(), service)
        lives.append(executor.heartbeat().incarnation)
        await service.close()
    assert len(set(lives)) == 2


async def test_a_backend_that_does_not_work_says_so_and_is_tried_again(bus: Bus) -> None:
    platform, backend, beats = Platform(bus), FakeBackend(available=False), Beats()
    await broadcast.subscribe(bus, subjects.HEARTBEATS, Heartbeat, beats)
    service = Service("executor-v8", ServiceSettings())
    await started(bus, backend, service)
    down = await beats.until(lambda beat: not beat.backend.available)
    assert (down.backend.unavailable_reason, down.backend.hint) == ("told not to work", "tell it to")
    workload_id = await platform.submit(script("print hi"))
    await platform.give(workload_id, identity(down))
    backend.available = True
    await beats.until(lambda beat: beat.backend.available)
    assert (await platform.ended(workload_id)).state == "completed"
    await service.close()


async def test_recovers_before_it_runs_anything(bus: Bus) -> None:
    backend = FakeBackend()
    (backend.root / "orphan").mkdir()
    service = Service("executor-v8", ServiceSettings())
    await started(bus, backend, service)
    assert backend.leftovers() == []
    await service.close()
