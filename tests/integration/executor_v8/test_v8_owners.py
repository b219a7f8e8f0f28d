"""Several executors on one machine: the living are left alone, the dead are cleared away."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from support.v8_backend import new_node, settings
from support.v8_runs import run
from vulcan_executor_v8 import wiring
from vulcan_executor_v8.cgroups.tree import open_tree
from vulcan_executor_v8.owner import NodeTakenError
from vulcan_executor_v8.recover import using

EXECUTOR = """
import asyncio, sys, structlog
structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
from pathlib import Path
from support.v8_backend import settings
from support.v8_runs import run, program
from vulcan_executor_v8 import wiring
from vulcan_sandbox.contract import request, Output
async def main():
    v8 = wiring.backend(settings(Path(sys.argv[2])), sys.argv[1])
    await v8.recover()
    spin = await v8.prepare(request(program("console.log('on'); setTimeout(() => {}, 1e9);")), print)
    output = Output()
    await spin.start(output)
    await output.until(lambda out: out.size > 0)
    print("running", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    print("ended" if spin._task.done() else "still running", flush=True)
    await spin.close()
    await v8.close()
asyncio.run(main())
"""


@asynccontextmanager
async def executor(node: str, run_dir: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process with a run that goes on for ever."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", EXECUTOR, node, run_dir, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert await asyncio.wait_for(process.stdout.readline(), 60) == b"running\n"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _ask(process: asyncio.subprocess.Process) -> bytes:
    """What the executor says of its run; it ends then."""
    said, _ = await asyncio.wait_for(process.communicate(b"\n"), 60)
    return said.strip()


@pytest.mark.parametrize("elsewhere", [False, True], ids=["same folder", "another folder"])
async def test_a_living_executor_keeps_its_name_and_its_runs(elsewhere: bool) -> None:
    node, config = new_node(), settings()
    other = settings() if elsewhere else config
    if elsewhere and not open_tree(node).controllers:
        pytest.skip("no control groups here, which are all that two folders would share")
    try:
        async with executor(node, config.run_dir) as living:
            second = wiring.backend(other, node)
            with pytest.raises(NodeTakenError, match=f"Another executor named {node} runs on this machine"):
                await second.recover()
            await second.close()
            assert await _ask(living) == b"still running"
        heir = wiring.backend(config, node)
        await heir.recover()
        assert (await run(heir, "export default () => 1;")).result == 1
        await heir.close()
    finally:
        shutil.rmtree(config.run_dir)
        shutil.rmtree(other.run_dir, ignore_errors=True)


async def test_what_a_dead_executor_of_another_name_left_is_swept_and_the_living_are_not() -> None:
    dead, alive, mine, config = new_node(), new_node(), new_node(), settings()
    base = Path(config.run_dir)
    try:
        async with executor(alive, config.run_dir) as living:
            async with executor(dead, config.run_dir) as victim:
                victim.send_signal(signal.SIGKILL)
                await victim.wait()
            (base / "foreign").mkdir()
            (base / "foreign" / "file").touch()
            heir = wiring.backend(config, mine)
            await heir.recover()
            assert _names(base) == {alive, mine, "foreign"}
            assert using(base / dead) == {}
            assert _groups(dead) == []
            await heir.close()
            assert await _ask(living) == b"still running"
    finally:
        shutil.rmtree(config.run_dir)


async def test_empty_control_groups_whose_folder_nobody_knows_are_swept() -> None:
    dead, config = new_node(), settings()
    if not open_tree(dead).controllers:
        pytest.skip("no control groups here: NOT tested")
    open_tree(dead).create("h1")
    heir = wiring.backend(config, new_node())
    await heir.recover()
    assert _groups(dead) == []
    await heir.close()
    shutil.rmtree(config.run_dir)


async def test_a_backend_that_was_closed_gives_its_name_free() -> None:
    node, config = new_node(), settings()
    for _ in range(2):
        v8 = wiring.backend(config, node)
        await v8.recover()
        await v8.close()
    assert _names(Path(config.run_dir)) == set()
    shutil.rmtree(config.run_dir)


def _names(folder: Path) -> set[str]:
    return {child.name for child in folder.iterdir()}


def _groups(node: str) -> list[Path]:
    return list(Path("/sys/fs/cgroup").rglob(f"vulcan-v8-{node}"))
