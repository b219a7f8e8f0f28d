import pytest

from support.v8_backend import backend, new_node, settings
from support.v8_runs import limited, program, run
from vulcan_contracts.reasons import Reason
from vulcan_executor_v8.backend import V8Backend
from vulcan_executor_v8.cgroups.tree import open_tree

pytestmark = pytest.mark.asyncio(loop_scope="module")
_TREE = open_tree(new_node())
HELD = _TREE.controllers
_TREE.remove()

HOGS = {
    "objects": "const kept = []; for (;;) kept.push({ x: Math.random() });",
    "buffers": "const kept = []; for (;;) kept.push(new Uint8Array(10_000_000).fill(1));",
    "shared": "const kept = []; for (;;) kept.push(new Uint8Array(new SharedArrayBuffer(10_000_000)).fill(1));",
    "wasm": "const m = new WebAssembly.Memory({ initial: 1, maximum: 65536 }); "
    "for (;;) { m.grow(160); new Uint8Array(m.buffer).fill(1); }",
    "in a worker": "const code = 'const k = []; for (;;) k.push(new Uint8Array(10_000_000).fill(1));'; "
    "new Worker('data:text/javascript,' + encodeURIComponent(code), { type: 'module' });",
}


@pytest.mark.parametrize("hog", HOGS)
async def test_memory_of_every_kind_is_bounded(v8: V8Backend, hog: str) -> None:
    ran = await run(v8, limited(program(HOGS[hog]), memory_mb=64))
    assert ran.exit.reason is Reason.OUT_OF_MEMORY, (ran.exit, ran.stderr[-500:])
    assert "64 MiB" in ran.exit.message
    assert (await run(v8, "console.log('next');")).stdout == "next\n"


async def test_a_larger_heap_class_is_really_larger(v8: V8Backend) -> None:
    code = "const kept = []; for (let i = 0; i < 3e6; i++) kept.push({ i }); export default () => kept.length;"
    ran = await run(v8, limited(program(code), memory_mb=400))
    assert ran.result == 3_000_000


@pytest.mark.parametrize(
    "code", ["for (;;);", "/^(a+)+$/.test('a'.repeat(60) + 'b');", "const f = () => Promise.resolve().then(f); f();"]
)
async def test_cpu_time(v8: V8Backend, code: str) -> None:
    ran = await run(v8, limited(program(code), cpu_time_s=0.3))
    assert ran.exit.reason is Reason.CPU_LIMIT, ran.exit
    assert ran.exit.usage.cpu_ms is not None
    assert ran.exit.usage.cpu_ms >= 300


async def test_waiting_costs_no_cpu_time(v8: V8Backend) -> None:
    ran = await run(v8, limited(program("setTimeout(() => console.log('end'), 700);"), cpu_time_s=0.5))
    assert (ran.exit.exit_code, ran.stdout) == (0, "end\n")


@pytest.mark.skipif("pids" not in HELD, reason="no pids control group here: the thread limit is NOT tested")
async def test_threads(v8: V8Backend) -> None:
    code = (
        "for (let i = 0; i < 200; i++)"
        " new Worker('data:text/javascript,setInterval(() => {}, 1000)', { type: 'module' });"
        "await new Promise((r) => setTimeout(r, 20_000));"
    )
    ran = await run(v8, limited(program(code), pids=4, memory_mb=512))
    assert ran.exit.reason is Reason.PIDS_LIMIT, (ran.exit, ran.stderr[-300:])


async def test_artifacts_together_are_bounded_by_disk_mb(v8: V8Backend) -> None:
    code = "for (let i = 0; ; i++) Vulcan.artifact(`f${i}`, new Uint8Array(300_000));"
    ran = await run(v8, limited(program(code, artifacts=["**"]), disk_mb=1))
    assert ran.exit.reason is Reason.DISK_LIMIT, ran.exit


async def test_a_result_beyond_all_bounds(v8: V8Backend) -> None:
    ran = await run(v8, "export default () => 'x'.repeat(6_000_000);")
    assert ran.exit.reason is Reason.OUTPUT_LIMIT, ran.exit


@pytest.mark.parametrize(
    "code", ["for (;;);", "setInterval(() => {}, 10);", "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);"]
)
async def test_kill(v8: V8Backend, code: str) -> None:
    ran = await run(v8, code, timed_out_after_s=0.3)
    assert (ran.exit.signal, ran.exit.reason) == (9, None)
    assert list(v8.leftovers()) == []


async def test_usage_is_measured(v8: V8Backend) -> None:
    ran = await run(v8, "let sum = 0; for (let i = 0; i < 3e8; i++) sum += i % 7;")
    assert ran.exit.usage.cpu_ms is not None
    assert ran.exit.usage.cpu_ms > 50
    assert ran.exit.usage.wall_ms > 50
    if "memory" in HELD:
        assert (ran.exit.usage.max_memory_bytes or 0) > 5_000_000


async def test_without_control_groups_memory_is_sampled() -> None:
    from vulcan_executor_v8 import wiring
    from vulcan_executor_v8.cgroups.tree import CgroupTree

    none = CgroupTree({}, dict.fromkeys(("memory", "cpu", "cpuacct", "pids"), "taken away by this test"))
    made = wiring.backend(settings(watch_interval_s=0.01), new_node(), tree=none)
    try:
        report = await made.probe()
        assert report.available
        assert any("No control group for memory" in warning for warning in report.warnings)
        slow_hog = "const k = []; setInterval(() => k.push(new Uint8Array(4_000_000).fill(1)), 5);"
        ran = await run(made, limited(program(slow_hog), memory_mb=64))
        assert ran.exit.reason is Reason.OUT_OF_MEMORY, ran.exit
        ran = await run(made, limited(program("for (;;);"), cpu_time_s=0.3))
        assert ran.exit.reason is Reason.CPU_LIMIT, ran.exit
    finally:
        await made.close()


async def test_an_unusual_size_gets_a_host_of_its_own() -> None:
    async with backend(heap_classes_mb=(64,)) as made:
        ran = await run(made, limited(program("export default () => 1;"), memory_mb=96))
        assert ran.result == 1
