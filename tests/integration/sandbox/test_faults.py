"""NATS goes away, executors are declared lost, nodes stop: what runs meet, and how they end all the same."""

import asyncio

import msgspec
import pytest

from support.executors import QUICK, TENANT, Node, Platform, contiguous
from support.fake_programs import script
from support.nats import NatsServer
from vulcan_contracts.commands import Delete
from vulcan_contracts.reasons import Reason
from vulcan_contracts.spec import Resources, Retry
from vulcan_eventstore.connection import Bus
from vulcan_eventstore.log_seal import seal
from vulcan_eventstore.log_writer import LogWriterSettings
from vulcan_sandbox.attempt import LostTouchError
from vulcan_sandbox.fake import FakeBackend


async def test_nats_killed_while_code_prints(bus: Bus, nats_server: NatsServer) -> None:
    platform, backend = Platform(bus), FakeBackend()
    async with Node.running(bus, backend) as node:
        lines = [command for number in range(200) for command in (f"print {number}", "sleep 0.01")]
        workload_id = await platform.run(script(*lines), node)
        for _ in range(3):
            await asyncio.sleep(0.3)
            await nats_server.bounce(away_s=0.2)
        state = await platform.ended(workload_id)
    assert state.state == "completed"
    stored = await platform.lines(workload_id)
    assert [line.text for line in stored] == [str(number) for number in range(200)]
    assert contiguous(stored)
    assert state.outcome is not None
    assert state.outcome.last_line == 200


async def test_nats_away_while_code_ends(bus: Bus, nats_server: NatsServer) -> None:
    platform, backend = Platform(bus), FakeBackend()
    async with Node.running(bus, backend) as node:
        workload_id = await platform.run(script("print first", "sleep 0.3", "print last", "exit 4"), node)
        await platform.until_line(workload_id, "first")
        nats_server.kill()
        async with asyncio.timeout(10):
            while True:
                if not backend.tasks:
                    break
                await asyncio.sleep(0.01)
        await asyncio.sleep(2.5)  # longer than one try of an append
        await asyncio.to_thread(nats_server.start)
        state = await platform.ended(workload_id)
        assert backend.leftovers() == []
    assert (state.state, state.outcome and state.outcome.exit_code) == ("failed", 4)
    assert [line.text for line in await platform.lines(workload_id)] == ["first", "last"]


async def test_an_event_log_that_is_away_keeps_no_sandbox_alive(bus: Bus, nats_server: NatsServer) -> None:
    platform, backend = Platform(bus), FakeBackend()
    async with Node.running(bus, backend) as node:
        workload_id = await platform.run(script("sleep 0.3"), node)  # prints nothing: only the end is left to say
        await platform.until(workload_id, lambda state: state.state == "running")
        await asyncio.to_thread(nats_server.kill)
        async with asyncio.timeout(20):
            while True:
                if not backend.leftovers():
                    break
                await asyncio.sleep(0.02)
        await asyncio.to_thread(nats_server.start)
        assert (await platform.ended(workload_id)).state == "completed"


async def test_a_log_that_stays_away_is_the_hosts_fault(bus: Bus, nats_server: NatsServer) -> None:
    platform, backend = Platform(bus), FakeBackend()
    impatient = LogWriterSettings(patience_s=0.5)
    async with Node.running(bus, backend, log_settings=impatient) as node:
        spec = script("print before", "sleep 0.5", "print during", "hang", timeout_s=60)
        workload_id = await platform.run(spec, node)
        await platform.until_line(workload_id, "before")
        await nats_server.bounce(away_s=3.0)
        state = await platform.ended(workload_id)
    assert state.outcome is not None
    assert state.outcome.reason is Reason.BACKEND_ERROR
    assert "log" in state.outcome.message
    stored = await platform.lines(workload_id)
    assert contiguous(stored)
    assert state.outcome.last_line == len(stored)


async def test_a_slow_log_does_not_time_a_run_out(bus: Bus, nats_server: NatsServer) -> None:
    platform = Platform(bus)
    settings = msgspec.structs.replace(QUICK, stall_s=0.1)
    tiny = LogWriterSettings(max_buffered_bytes=1000, max_batch_bytes=1000)
    async with Node.running(bus, FakeBackend(), settings=settings, log_settings=tiny) as node:
        # Half a second of printing with a limit of four, and NATS away for five.
        lines = [command for number in range(50) for command in (f"print {number} {'x' * 100}", "sleep 0.01")]
        workload_id = await platform.run(script(*lines, timeout_s=4), node)
        await platform.until(workload_id, lambda state: state.state == "running")
        await nats_server.bounce(away_s=5.0)
        state = await platform.ended(workload_id)
    assert state.state == "completed"
    assert len(await platform.lines(workload_id)) == 50


async def test_a_kill_asked_for_while_nats_bounces(bus: Bus, nats_server: NatsServer) -> None:
    platform, backend = Platform(bus), FakeBackend()
    async with Node.running(bus, backend) as node:
        workload_id = await platform.run(script("print ready", "hang", timeout_s=100), node)
        await platform.until_line(workload_id, "ready")
        bouncing = asyncio.create_task(nats_server.bounce(away_s=0.3))
        await asyncio.sleep(0.1)
        await platform.kill(workload_id)
        await bouncing
        assert (await platform.ended(workload_id)).state == "killed"


async def test_a_zombie_writes_nothing_and_ends_nothing(bus: Bus) -> None:
    platform, backend = Platform(bus), FakeBackend()
    settings = msgspec.structs.replace(QUICK, recheck_interval_s=1000.0)  # nobody tells it: the log's fence must
    async with Node.running(bus, backend, settings=settings) as node:
        lines = [command for number in range(10_000) for command in (f"print {number}", "sleep 0.01")]
        workload_id = await platform.run(script(*lines, timeout_s=1000), node)
        await platform.until_line(workload_id, "5")
        await platform.lose(workload_id, node.me)
        lost = await platform.ended(workload_id)
        await _gone(backend)
    assert lost.outcome is not None
    assert lost.outcome.reason is Reason.EXECUTOR_LOST
    stored = await platform.lines(workload_id)
    assert contiguous(stored)
    assert stored[-1].text == "lost"
    assert lost.outcome.last_line == len(stored)
    assert (await platform.types(workload_id)).count("failed") == 1


async def test_a_silent_zombie_is_found_out(bus: Bus) -> None:
    platform, backend = Platform(bus), FakeBackend()
    async with Node.running(bus, backend) as node:
        workload_id = await platform.run(script("print ready", "hang", timeout_s=1000), node)
        await platform.until_line(workload_id, "ready")
        await platform.lose(workload_id, node.me)
        await _gone(backend)
    assert (await platform.types(workload_id))[-1] == "failed"


async def test_a_silent_zombie_that_ends_by_itself(bus: Bus) -> None:
    platform, backend = Platform(bus), FakeBackend()
    settings = msgspec.structs.replace(QUICK, recheck_interval_s=1000.0)
    async with Node.running(bus, backend, settings=settings) as node:
        workload_id = await platform.run(script("sleep 0.5", retry=Retry(max_attempts=2)), node)
        await platform.until(workload_id, lambda state: state.state == "running")
        await platform.lose(workload_id, node.me)
        await _gone(backend)
    state = await platform.state(workload_id)
    assert (state.state, state.attempt) == ("pending", 2)
    assert await platform.types(workload_id) == ["submitted", "scheduled", "started", "retrying"]


@pytest.mark.parametrize(("max_attempts", "state"), [(1, "failed"), (2, "pending")])
async def test_a_run_whose_log_was_sealed_by_one_who_died_then(bus: Bus, max_attempts: int, state: str) -> None:
    platform, backend = Platform(bus), FakeBackend()
    async with Node.running(bus, backend) as node:
        lines = [command for number in range(10_000) for command in (f"print {number}", "sleep 0.01")]
        spec = script(*lines, timeout_s=1000, retry=Retry(max_attempts=max_attempts))
        workload_id = await platform.run(spec, node)
        await platform.until_line(workload_id, "5")
        last = await seal(bus, TENANT, workload_id, 1, "lost")
        lost = await platform.until(workload_id, lambda workload: workload.state != "running")
        assert backend.leftovers() == []
    assert lost.state == state
    assert lost.outcome is not None
    assert lost.outcome.reason is Reason.EXECUTOR_LOST
    assert lost.outcome.last_line == last == len(await platform.lines(workload_id))


async def test_the_next_attempt_runs_while_the_zombie_lives(bus: Bus) -> None:
    platform, old, new = Platform(bus), FakeBackend(), FakeBackend()
    slow = msgspec.structs.replace(QUICK, recheck_interval_s=1000.0)
    async with (
        Node.running(bus, old, name="node-1", settings=slow) as first,
        Node.running(bus, new, name="node-2") as second,
    ):
        spec = script(
            "file a.txt x", "print once", "sleep 1", "print twice", artifacts=["*"], retry=Retry(max_attempts=2)
        )
        workload_id = await platform.run(spec, first)
        await platform.until_line(workload_id, "once")
        await platform.lose(workload_id, first.me)
        await platform.give(workload_id, second.me)
        state = await platform.ended(workload_id)
        await _gone(old)
    assert (state.state, state.attempt, state.node) == ("completed", 2, "node-2")
    stored = await platform.lines(workload_id)
    assert [line.text for line in stored] == ["once", "lost", "once", "twice"]
    assert contiguous(stored)


async def test_a_stop_lets_runs_end(bus: Bus) -> None:
    platform, backend = Platform(bus), FakeBackend()
    settings = msgspec.structs.replace(QUICK, drain_s=20.0)
    async with Node.running(bus, backend, settings=settings) as node:
        workload_id = await platform.run(script("print ready", "sleep 0.3", "print done"), node)
        await platform.until_line(workload_id, "ready")
        stopping = asyncio.create_task(node.executor.stop())
        await asyncio.sleep(0)
        assert node.executor.heartbeat().state == "draining"
        late = await platform.run(script("print late"), node)
        await stopping
        assert (await platform.state(workload_id)).state == "completed"
        assert (await platform.state(late)).state == "pending"


@pytest.mark.parametrize("program", [["print ready", "hang"], ["print ready", "ignore_term"], ["print ready", "flood"]])
async def test_a_stop_ends_what_does_not_end(bus: Bus, program: list[str]) -> None:
    platform, backend = Platform(bus), FakeBackend()
    async with Node.running(bus, backend) as node:
        resources = Resources(output_mb=1024)
        spec = script(*program, timeout_s=1000, grace_s=0.2, retry=Retry(max_attempts=2), resources=resources)
        workload_id = await platform.run(spec, node)
        await platform.until_line(workload_id, "ready")
        await node.executor.stop()
        state = await platform.state(workload_id)
        assert backend.leftovers() == []
    assert (state.state, state.attempt) == ("pending", 2)
    assert state.outcome is not None
    assert state.outcome.reason is Reason.EXECUTOR_LOST


async def test_a_stop_while_a_sandbox_is_prepared(bus: Bus) -> None:
    platform, backend = Platform(bus), FakeBackend()
    async with Node.running(bus, backend) as node:
        workload_id = await platform.run(script("prepare hang"), node)
        await platform.until(workload_id, lambda state: state.state == "running")
        await node.executor.stop()
        state = await platform.state(workload_id)
        assert backend.leftovers() == []
    assert state.outcome is not None
    assert state.outcome.reason is Reason.EXECUTOR_LOST


async def test_a_crash_leaves_the_attempt_to_the_scheduler(bus: Bus) -> None:
    platform, backend = Platform(bus), FakeBackend()
    async with Node.running(bus, backend, stop=False) as node:
        workload_id = await platform.run(script("print ready", "hang"), node)
        await platform.until_line(workload_id, "ready")
    assert (await platform.state(workload_id)).state == "running"
    await platform.lose(workload_id, node.me)
    state = await platform.state(workload_id)
    assert state.outcome is not None
    assert state.outcome.reason is Reason.EXECUTOR_LOST


async def test_giving_up_ends_the_executor(bus: Bus, nats_server: NatsServer) -> None:
    platform = Platform(bus)
    settings = msgspec.structs.replace(QUICK, end_deadline_s=0.5, command_deadline_s=0.5)
    ids: list[str] = []

    async def life() -> None:
        async with Node.running(bus, FakeBackend(), settings=settings, stop=False) as node:
            ids.append(await platform.run(script("sleep 0.2"), node))
            await platform.until(ids[0], lambda state: state.state == "running")
            await asyncio.to_thread(nats_server.kill)
            await asyncio.wait_for(node.executor.ended(), 20)

    with pytest.raises(ExceptionGroup) as crash:
        await life()
    assert [type(error) for error in crash.value.exceptions] == [LostTouchError]
    await asyncio.to_thread(nats_server.start)
    assert (await platform.until(ids[0], lambda _: True)).state == "running"


async def test_fenced_out_by_a_delete_it_still_ends(bus: Bus) -> None:
    platform = Platform(bus)
    async with Node.running(bus, FakeBackend()) as node:
        workload_id = await platform.run(script("print ready", "sleep 0.2"), node)
        await platform.until_line(workload_id, "ready")
        await platform.log.execute(TENANT, workload_id, Delete(), actor="user:test")
        state = await platform.ended(workload_id)
    assert (state.state, state.deleted) == ("completed", True)


async def _gone(backend: FakeBackend) -> None:
    async with asyncio.timeout(30):
        while True:
            if not backend.leftovers() and not backend.tasks:
                return
            await asyncio.sleep(0.01)
