"""Workloads through a real NATS and the fake backend, from submitted to ended."""

import asyncio
from collections.abc import Callable

import msgspec
import pytest

from support.executors import QUICK, TENANT, Node, Platform, contiguous
from support.fake_programs import script
from vulcan_chassis import tracing
from vulcan_contracts import subjects
from vulcan_contracts.nodes import Capacity
from vulcan_contracts.reasons import Reason
from vulcan_contracts.spec import ImageSource, Network, Resources, Retry, Spec
from vulcan_eventstore.blobs import Blobs
from vulcan_eventstore.connection import Bus
from vulcan_sandbox.fake import FakeBackend, FakeSandbox
from vulcan_sandbox.protocol import ProducedArtifact, RunRequest


async def test_a_run_completes(bus: Bus) -> None:
    platform, backend = Platform(bus), FakeBackend()
    async with Node.running(bus, backend) as node:
        workload_id = await platform.run(script("print hello", "error oops", "result '{\"a\": 1}'"), node)
        state = await platform.ended(workload_id)
        assert backend.leftovers() == []
    assert state.state == "completed"
    assert await platform.types(workload_id) == ["submitted", "scheduled", "started", "completed"]
    lines = await platform.lines(workload_id)
    assert [(line.stream, line.text) for line in lines] == [("stdout", "hello"), ("stderr", "oops")]
    assert contiguous(lines)
    outcome = state.outcome
    assert outcome is not None
    assert outcome.last_line == 2
    assert outcome.result == {"a": 1}
    assert outcome.usage.output_bytes == 11
    assert outcome.clock.prepare_ms > 0
    assert outcome.clock.run_ms > 0
    assert outcome.clock.first_output_ms is not None


async def test_many_lines_are_contiguous_and_all_there(bus: Bus) -> None:
    platform = Platform(bus)
    async with Node.running(bus, FakeBackend()) as node:
        workload_id = await platform.run(script("count 30000", "write e29c93"), node)
        state = await platform.ended(workload_id)
    lines = await platform.lines(workload_id)
    assert contiguous(lines)
    assert [line.text for line in lines] == [*map(str, range(1, 30_001)), "✓"]
    assert lines[-1].partial
    assert state.outcome is not None
    assert state.outcome.last_line == 30_001


@pytest.mark.parametrize(
    ("lines", "state", "reason", "exit_code"),
    [
        (["exit 3"], "failed", Reason.EXIT_NONZERO, 3),
        (["signal 11"], "failed", Reason.SIGNALED, None),
        (["limit out_of_memory 'too much'"], "failed", Reason.OUT_OF_MEMORY, None),
        (["fault 'the host died'"], "failed", Reason.BACKEND_ERROR, None),
        (["bug 'never expected'"], "failed", Reason.BACKEND_ERROR, None),
        (["prepare fault 'no kvm'"], "failed", Reason.BACKEND_ERROR, None),
        (["prepare bug oops"], "failed", Reason.BACKEND_ERROR, None),
        (["prepare refuse image_unavailable 'no such tag'"], "failed", Reason.IMAGE_UNAVAILABLE, None),
        (["no such command"], "failed", Reason.INVALID_SOURCE, None),
        (["flood"], "failed", Reason.OUTPUT_LIMIT, None),
        (["print on", "hang"], "failed", Reason.TIMED_OUT, None),
        (["print on", "ignore_term"], "failed", Reason.TIMED_OUT, None),
        (["on_term 0"], "failed", Reason.TIMED_OUT, 0),
    ],
)
async def test_endings(bus: Bus, lines: list[str], state: str, reason: Reason, exit_code: int | None) -> None:
    platform, backend = Platform(bus), FakeBackend()
    resources = Resources(output_mb=1)
    timeout_s = 0.3 if reason is Reason.TIMED_OUT else 60.0
    grace_s = 0.1 if "ignore_term" in lines else 20.0
    async with Node.running(bus, backend) as node:
        spec = script(*lines, timeout_s=timeout_s, grace_s=grace_s, resources=resources)
        workload_id = await platform.run(spec, node)
        ended = await platform.ended(workload_id)
        await _empty(backend)
    assert (ended.state, ended.outcome and ended.outcome.reason) == (state, reason)
    assert ended.outcome is not None
    assert reason is Reason.SIGNALED or ended.outcome.message
    assert ended.outcome.exit_code == exit_code
    assert contiguous(stored := await platform.lines(workload_id))
    assert ended.outcome.last_line == len(stored)


async def test_output_is_cut_exactly_at_its_limit(bus: Bus) -> None:
    platform = Platform(bus)
    async with Node.running(bus, FakeBackend()) as node:
        workload_id = await platform.run(script("flood", resources=Resources(output_mb=1)), node)
        state = await platform.ended(workload_id)
    assert state.outcome is not None
    assert state.outcome.usage.output_bytes == 1_048_576
    lines = await platform.lines(workload_id)
    kept = "".join(line.text + ("" if line.partial else "\n") for line in lines)
    assert len(kept) == 1_048_576


async def test_artifacts_are_stored(bus: Bus) -> None:
    platform = Platform(bus)
    async with Node.running(bus, FakeBackend()) as node:
        spec = script("file out/a.txt one", "file out/b.bin two", "file c.txt three", artifacts=["out/*"])
        workload_id = await platform.run(spec, node)
        state = await platform.ended(workload_id)
    assert state.outcome is not None
    kept = [(artifact.name, artifact.size_bytes, artifact.media_type) for artifact in state.outcome.artifacts]
    assert kept == [("out/a.txt", 3, "text/plain"), ("out/b.bin", 3, "application/octet-stream")]
    name = subjects.artifact_blob(TENANT, workload_id, 1, "out/a.txt")
    assert await Blobs(bus).read(name, max_bytes=100) == b"one"


async def test_a_failed_run_keeps_its_artifacts(bus: Bus) -> None:
    platform = Platform(bus)
    async with Node.running(bus, FakeBackend()) as node:
        workload_id = await platform.run(script("file core.txt x", "exit 1", artifacts=["*.txt"]), node)
        state = await platform.ended(workload_id)
    assert state.outcome is not None
    assert (state.outcome.reason, len(state.outcome.artifacts)) == (Reason.EXIT_NONZERO, 1)


async def test_what_a_backend_says_is_in_the_log(bus: Bus) -> None:
    platform = Platform(bus)
    async with Node.running(bus, FakeBackend()) as node:
        workload_id = await platform.run(script("prepare say 'pulling layers'", "prepare slow 0.05", "print hi"), node)
        await platform.ended(workload_id)
    lines = await platform.lines(workload_id)
    assert [(line.stream, line.text) for line in lines] == [("system", "pulling layers"), ("stdout", "hi")]


async def test_a_kill_ends_a_run(bus: Bus) -> None:
    platform, backend = Platform(bus), FakeBackend()
    async with Node.running(bus, backend) as node:
        workload_id = await platform.run(script("print ready", "hang"), node)
        await platform.until_line(workload_id, "ready")
        await platform.kill(workload_id)
        state = await platform.ended(workload_id)
        await _empty(backend)
    assert state.state == "killed"
    assert await platform.types(workload_id) == ["submitted", "scheduled", "started", "kill_requested", "killed"]


async def test_a_kill_while_it_is_being_prepared(bus: Bus) -> None:
    platform, backend = Platform(bus), FakeBackend()
    async with Node.running(bus, backend) as node:
        workload_id = await platform.run(script("prepare hang", "print never"), node)
        await platform.until(workload_id, lambda state: state.state == "running")
        await platform.kill(workload_id)
        state = await platform.ended(workload_id)
        await _empty(backend)
    assert state.state == "killed"
    assert backend.started == []


async def test_a_stranger_to_this_life_is_dropped(bus: Bus) -> None:
    platform, backend = Platform(bus), FakeBackend()
    async with Node.running(bus, FakeBackend()) as first:
        before = first.me
    async with Node.running(bus, backend) as node:
        workload_id = await platform.submit(script("print mine"))
        await platform.give(workload_id, before)
        other = await platform.run(script("print other"), node)
        assert (await platform.ended(other)).state == "completed"
    assert (await platform.state(workload_id)).state == "pending"
    assert backend.started == [other]


async def test_an_attempt_that_moved_is_dropped(bus: Bus) -> None:
    platform, backend = Platform(bus), FakeBackend()
    async with (
        Node.running(bus, backend, name="node-1") as first,
        Node.running(bus, FakeBackend(), name="node-2") as second,
    ):
        workload_id = await platform.submit(script("print once", network=Network(egress="all")))
        stale = await platform.schedule(workload_id, first.me)
        await platform.give(workload_id, second.me)
        await platform.offer(stale, first.me.node)
        assert (await platform.ended(workload_id)).state == "completed"
        marker = await platform.run(script("print marker"), first)
        await platform.ended(marker)
    assert backend.started == [marker]
    assert (await platform.types(workload_id)).count("started") == 1


async def test_the_same_assignment_twice_runs_once(bus: Bus) -> None:
    platform, backend = Platform(bus), FakeBackend()
    async with Node.running(bus, backend) as node:
        workload_id = await platform.submit(script("print once", "sleep 0.2"))
        first = await platform.schedule(workload_id, node.me)
        second = await platform.schedule(workload_id, node.me)
        await platform.offer(first, node.me.node)
        await platform.offer(second, node.me.node)
        assert (await platform.ended(workload_id)).state == "completed"
    assert backend.started == [workload_id]


async def test_no_more_than_there_is_room_for(bus: Bus) -> None:
    platform = Platform(bus)
    backend = FakeBackend(capacity=Capacity(cpus=8, memory_mb=256, slots=4))
    seen: list[int] = []
    async with Node.running(bus, backend) as node:
        ids = [await platform.run(script("sleep 0.05", resources=Resources(memory_mb=128)), node) for _ in range(6)]

        async def watch() -> None:
            while True:
                seen.append(len(backend.tasks))
                await asyncio.sleep(0.005)

        watching = asyncio.create_task(watch())
        for workload_id in ids:
            assert (await platform.ended(workload_id)).state == "completed"
        watching.cancel()
        async with asyncio.timeout(10):
            while True:
                if node.executor.heartbeat().used == Capacity(cpus=0, memory_mb=0, slots=0):
                    break
                await asyncio.sleep(0.01)
    assert max(seen) == 2


async def test_what_can_never_fit_says_so(bus: Bus) -> None:
    platform = Platform(bus)
    async with Node.running(bus, FakeBackend(capacity=Capacity(cpus=2, memory_mb=512, slots=2))) as node:
        workload_id = await platform.run(script("print x", resources=Resources(memory_mb=1024)), node)
        state = await platform.ended(workload_id)
        small = await platform.run(script("print x"), node)
        assert (await platform.ended(small)).state == "completed"
    assert state.outcome is not None
    assert state.outcome.reason is Reason.BACKEND_ERROR
    assert "1024 MiB" in state.outcome.message


async def test_a_retry_goes_on_in_the_same_log(bus: Bus) -> None:
    platform = Platform(bus)
    async with Node.running(bus, FakeBackend()) as node:
        spec = script("print try", "fault 'bad luck'", retry=Retry(max_attempts=2))
        workload_id = await platform.run(spec, node)
        await platform.until(workload_id, lambda state: state.attempt == 2)
        await platform.give(workload_id, node.me)
        state = await platform.ended(workload_id)
    assert state.attempt == 2
    lines = await platform.lines(workload_id)
    assert [line.text for line in lines] == ["try", "try"]
    assert contiguous(lines)


async def _empty(backend: FakeBackend) -> None:
    """The end is on the log a little before the sandbox is gone."""
    async with asyncio.timeout(10):
        while True:
            if not backend.leftovers() and not backend.tasks:
                return
            await asyncio.sleep(0.01)


class _BadArtifacts(FakeBackend):
    """Its sandboxes raise what they should not when asked for artifacts."""

    async def prepare(self, run: RunRequest, say: Callable[[str], None]) -> FakeSandbox:
        sandbox = await super().prepare(run, say)

        async def raise_it(patterns: list[str]) -> list[ProducedArtifact]:
            raise ZeroDivisionError("a bug")

        sandbox.artifacts = raise_it  # type: ignore[method-assign] # a broken backend
        return sandbox


async def test_artifacts_that_cannot_be_listed_are_the_hosts_fault(bus: Bus) -> None:
    platform = Platform(bus)
    async with Node.running(bus, _BadArtifacts()) as node:
        well = await platform.run(script("print x", artifacts=["*"]), node)
        badly = await platform.run(script("exit 2", artifacts=["*"]), node)
        states = [await platform.ended(workload_id) for workload_id in (well, badly)]
    reasons = [state.outcome and state.outcome.reason for state in states]
    assert reasons == [Reason.BACKEND_ERROR, Reason.EXIT_NONZERO]


class _Undying(FakeBackend):
    """Its sandboxes do not hear a kill; only closing them helps."""

    async def prepare(self, run: RunRequest, say: Callable[[str], None]) -> FakeSandbox:
        sandbox = await super().prepare(run, say)
        close, kill = sandbox.close, sandbox.kill

        async def deaf(grace_s: float) -> None:
            await asyncio.Event().wait()

        async def close_after_all() -> None:
            sandbox.kill = kill  # type: ignore[method-assign] # a broken backend
            await close()

        sandbox.kill, sandbox.close = deaf, close_after_all  # type: ignore[method-assign] # the same
        return sandbox


async def test_a_sandbox_that_does_not_die_is_destroyed(bus: Bus) -> None:
    platform, backend = Platform(bus), _Undying()
    settings = msgspec.structs.replace(QUICK, kill_slack_s=0.2)
    async with Node.running(bus, backend, settings=settings) as node:
        workload_id = await platform.run(script("print on", "hang", timeout_s=0.2, grace_s=0), node)
        state = await platform.ended(workload_id)
        await _empty(backend)
    assert state.outcome is not None
    assert state.outcome.reason is Reason.TIMED_OUT


async def test_preparing_has_a_deadline(bus: Bus) -> None:
    platform, backend = Platform(bus), FakeBackend()
    settings = msgspec.structs.replace(QUICK, prepare_timeout_s=0.2)
    async with Node.running(bus, backend, settings=settings) as node:
        state = await platform.ended(await platform.run(script("prepare hang"), node))
        await _empty(backend)
    assert state.outcome is not None
    assert state.outcome.reason is Reason.BACKEND_ERROR
    assert "0.2 s" in state.outcome.message


async def test_an_images_digest_is_on_the_log(bus: Bus) -> None:
    platform = Platform(bus)
    async with Node.running(bus, FakeBackend(isolation="gvisor")) as node:
        workload_id = await platform.run(Spec(source=ImageSource(image="alpine")), node)
        state = await platform.ended(workload_id)
    assert state.state == "completed"
    assert state.image_digest == "sha256:" + "0" * 64


async def test_one_trace_through_all_of_it(bus: Bus) -> None:
    platform = Platform(bus)
    async with Node.running(bus, FakeBackend()) as node:
        with tracing.span("submit"):
            workload_id = await platform.submit(script("print hi"))
            trace_id = tracing.current_trace_id()
        await platform.give(workload_id, node.me)
        await platform.ended(workload_id)
    events = {event.envelope.type: event.envelope for event in await platform.log.history(TENANT, workload_id)}
    assert trace_id is not None
    assert tracing.trace_id(events["started"].traceparent) == trace_id
    assert tracing.trace_id(events["completed"].traceparent) == trace_id
    assert events["started"].actor == "executor:node-1"
