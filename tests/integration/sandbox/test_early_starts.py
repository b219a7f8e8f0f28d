"""Code that begins before the log says whose it is: nobody may be able to tell."""

import asyncio
import random

import msgspec
import pytest

from support.executors import QUICK, Node, Platform, contiguous
from support.fake_programs import script
from vulcan_contracts.nodes import Capacity
from vulcan_contracts.reasons import Reason
from vulcan_contracts.spec import Network
from vulcan_eventstore.connection import Bus
from vulcan_sandbox.attempt import NodeIdentity
from vulcan_sandbox.fake import FakeBackend

IMPATIENT = msgspec.structs.replace(QUICK, hint_patience_s=0.1)


async def begun(backend: FakeBackend, workload_id: str) -> None:
    async with asyncio.timeout(20):
        while workload_id not in backend.started:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.005)


async def emptied(node: Node) -> None:
    async with asyncio.timeout(20):
        while node.executor.heartbeat().used.slots:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.005)


async def test_a_hinted_run_is_begun_and_shows_nothing_until_it_is_assigned(bus: Bus) -> None:
    platform, backend = Platform(bus), FakeBackend()
    async with Node.running(bus, backend) as node:
        workload_id = await platform.submit(script("count 500"))
        await platform.hint(workload_id, node.me)
        await begun(backend, workload_id)
        assert await platform.types(workload_id) == ["submitted"]
        assert await platform.lines(workload_id) == []
        await platform.give(workload_id, node.me)
        state = await platform.ended(workload_id)
    assert state.state == "completed"
    assert backend.started == [workload_id]
    assert await platform.types(workload_id) == ["submitted", "scheduled", "started", "completed"]
    lines = await platform.lines(workload_id)
    assert contiguous(lines)
    assert len(lines) == 500
    assert state.outcome is not None
    assert state.outcome.last_line == 500


async def test_more_than_can_be_held_waits_for_the_assignment(bus: Bus) -> None:
    platform, backend = Platform(bus), FakeBackend()
    async with Node.running(bus, backend) as node:
        workload_id = await platform.submit(script("count 50000"))
        await platform.hint(workload_id, node.me)
        await begun(backend, workload_id)
        await platform.give(workload_id, node.me)
        assert (await platform.ended(workload_id)).state == "completed"
    lines = await platform.lines(workload_id)
    assert contiguous(lines)
    assert len(lines) == 50_000


async def test_a_hint_that_does_not_come_true_leaves_nothing(bus: Bus) -> None:
    platform, backend = Platform(bus), FakeBackend()
    async with Node.running(bus, backend, settings=IMPATIENT) as node:
        workload_id = await platform.submit(script("print ready", "hang"))
        await platform.hint(workload_id, node.me)
        await begun(backend, workload_id)
        await emptied(node)
        assert not backend.tasks
        assert await platform.types(workload_id) == ["submitted"]
        assert await platform.lines(workload_id) == []
        later = await platform.run(script("print later"), node)
        assert (await platform.ended(later)).state == "completed"


async def test_an_assignment_that_comes_as_the_patience_ends_is_run_once(bus: Bus) -> None:
    platform, backend, chance = Platform(bus), FakeBackend(), random.Random(7)
    async with Node.running(bus, backend, settings=IMPATIENT) as node:
        for _ in range(20):
            workload_id = await platform.submit(script("print one", "print two"))
            tracked = await platform.schedule(workload_id, node.me)
            await platform.dispatcher.hint(node.me.node, tracked.state)
            await asyncio.sleep(IMPATIENT.hint_patience_s + chance.uniform(-0.005, 0.005))
            await platform.offer(tracked, node.me.node)
            assert (await platform.ended(workload_id)).state == "completed"
            assert await platform.types(workload_id) == ["submitted", "scheduled", "started", "completed"]
            assert [line.text for line in await platform.lines(workload_id)] == ["one", "two"]


@pytest.mark.parametrize("settings", [QUICK, msgspec.structs.replace(QUICK, start_early=False)])
async def test_code_that_may_reach_a_network_does_not_run_before_it_is_ours(bus: Bus, settings: object) -> None:
    assert isinstance(settings, type(QUICK))
    platform, backend = Platform(bus), FakeBackend()
    network = Network(egress="all") if settings.start_early else Network()
    async with Node.running(bus, backend, settings=settings) as node:
        workload_id = await platform.submit(script("print x", network=network))
        await platform.hint(workload_id, node.me)
        marker = await platform.run(script("print marker"), node)
        await platform.ended(marker)
        assert backend.started == [marker]
        await platform.give(workload_id, node.me)
        assert (await platform.ended(workload_id)).state == "completed"


async def test_a_hint_for_another_life_or_without_room_is_not_taken(bus: Bus) -> None:
    platform = Platform(bus)
    backend = FakeBackend(capacity=Capacity(cpus=1.0, memory_mb=256, slots=1))
    async with Node.running(bus, backend) as node:
        elsewhere = await platform.submit(script("print x"))
        await platform.hint(elsewhere, NodeIdentity(node=node.me.node, incarnation="in_before"))
        busy = await platform.run(script("print ready", "hang", grace_s=0), node)
        await platform.until_line(busy, "ready")
        waiting = await platform.submit(script("print x"))
        await platform.hint(waiting, node.me)
        await bus.settle()
        assert node.executor.heartbeat().used.slots == 1
        await platform.give(waiting, node.me)
        await platform.kill(busy)
        assert (await platform.ended(waiting)).state == "completed"
    assert backend.started == [busy, waiting]


async def test_the_last_place_taken_on_a_hint_is_filled_by_its_claim(bus: Bus) -> None:
    platform = Platform(bus)
    backend = FakeBackend(capacity=Capacity(cpus=1.0, memory_mb=256, slots=1))
    patient = msgspec.structs.replace(QUICK, hint_patience_s=60.0)
    async with Node.running(bus, backend, settings=patient) as node:
        workload_id = await platform.submit(script("print x"))
        await platform.hint(workload_id, node.me)
        await begun(backend, workload_id)
        await platform.give(workload_id, node.me)
        assert (await platform.ended(workload_id)).state == "completed"


async def test_a_limit_that_ends_it_before_it_is_ours_is_told_afterwards(bus: Bus) -> None:
    platform, backend = Platform(bus), FakeBackend()
    async with Node.running(bus, backend) as node:
        workload_id = await platform.submit(script("print ready", "hang", timeout_s=0.1, grace_s=0))
        await platform.hint(workload_id, node.me)
        await begun(backend, workload_id)
        await asyncio.sleep(0.3)
        assert await platform.types(workload_id) == ["submitted"]
        await platform.give(workload_id, node.me)
        state = await platform.ended(workload_id)
    assert state.outcome is not None
    assert state.outcome.reason is Reason.TIMED_OUT
    assert [line.text for line in await platform.lines(workload_id)] == ["ready"]


async def test_a_run_killed_while_it_waits_for_its_assignment_shows_nothing(bus: Bus) -> None:
    platform, backend = Platform(bus), FakeBackend()
    async with Node.running(bus, backend) as node:
        workload_id = await platform.submit(script("print ready", "hang"))
        tracked = await platform.schedule(workload_id, node.me)
        await platform.dispatcher.hint(node.me.node, tracked.state)
        await begun(backend, workload_id)
        await platform.kill(workload_id)
        await platform.offer(tracked, node.me.node)
        await emptied(node)
    assert (await platform.state(workload_id)).state == "killed"
    assert await platform.lines(workload_id) == []
    assert "started" not in await platform.types(workload_id)


async def test_a_hint_is_not_believed_where_the_assignment_says_otherwise(bus: Bus) -> None:
    platform, backend = Platform(bus), FakeBackend()
    async with Node.running(bus, backend) as node:
        workload_id = await platform.submit(script("print true"))
        tracked = await platform.schedule(workload_id, node.me)
        await platform.dispatcher.hint(
            node.me.node, msgspec.structs.replace(tracked.state, spec=script("print untrue", "hang"))
        )
        await begun(backend, workload_id)
        await platform.offer(tracked, node.me.node)
        assert (await platform.ended(workload_id)).state == "completed"
    assert [line.text for line in await platform.lines(workload_id)] == ["true"]


async def test_an_assignment_to_an_earlier_life_does_not_use_up_what_was_begun(bus: Bus) -> None:
    platform, backend = Platform(bus), FakeBackend()
    patient = msgspec.structs.replace(QUICK, hint_patience_s=60.0)
    async with Node.running(bus, backend, settings=patient) as node:
        workload_id = await platform.submit(script("print x"))
        stale = await platform.schedule(workload_id, NodeIdentity(node=node.me.node, incarnation="in_before"))
        await platform.hint(workload_id, node.me)
        await begun(backend, workload_id)
        await platform.offer(stale, node.me.node)
        await platform.ended(await platform.run(script("print marker"), node))
        await platform.give(workload_id, node.me)
        assert (await platform.ended(workload_id)).state == "completed"
    assert backend.started.count(workload_id) == 1
