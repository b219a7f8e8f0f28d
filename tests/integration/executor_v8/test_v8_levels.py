"""What is left where the machine does not give everything: no bubblewrap, a plain user, a crash of the executor."""

import asyncio
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec
import pytest
from deno import find_deno_bin

from support.v8_backend import HAS_BWRAP, IS_ROOT, backend, new_node, settings
from support.v8_runs import program, run
from vulcan_contracts.reasons import Reason
from vulcan_contracts.spec import Network
from vulcan_executor_v8 import wiring
from vulcan_executor_v8.jail.levels import find_tools
from vulcan_executor_v8.recover import using
from vulcan_sandbox.protocol import RunRefusedError

needs_bwrap = pytest.mark.skipif(
    not HAS_BWRAP, reason="bubblewrap is not installed or makes no jail here: the jail is NOT tested here"
)


@needs_bwrap
async def test_the_report_says_what_holds() -> None:
    async with backend() as v8:
        report = await v8.probe()
        assert report.engine.startswith("deno 2.")
        assert report.runtimes == ["javascript", "typescript"]
        assert "bubblewrap" in report.boundary
        assert "egress" in report.features
        assert report.details["jail"] == ("bwrap" if IS_ROOT else "userns")


async def test_without_bubblewrap_it_works_and_says_what_is_weaker() -> None:
    bare = msgspec.structs.replace(find_tools(), bwrap=None)
    async with backend(tools=bare) as v8:
        report = await v8.probe()
        assert report.available
        assert "only V8 and Deno's permissions" in report.boundary
        assert any("bubblewrap is not installed" in warning for warning in report.warnings)
        assert "egress" not in report.features
        ran = await run(v8, "import fs from 'node:fs'; console.log('hi'); fs.readFileSync('/etc/passwd');")
        assert (ran.stdout, ran.exit.exit_code) == ("hi\n", 1)
        assert "at main.ts:1:" in ran.stderr
        with pytest.raises(RunRefusedError, match="no bubblewrap") as refused:
            await run(v8, program("1;", network=Network(egress="all")))
        assert refused.value.reason is Reason.BACKEND_UNAVAILABLE


async def test_a_jail_that_is_insisted_on_and_not_there_is_no_backend() -> None:
    bare = msgspec.structs.replace(find_tools(), bwrap=None)
    async with backend(tools=bare, jail="userns") as v8:
        report = await v8.probe()
        assert not report.available
        assert report.unavailable_reason
        assert "bubblewrap" in report.hint


@needs_bwrap
async def test_a_user_namespace_does_where_root_does_not() -> None:
    async with backend(jail="userns") as v8:
        report = await v8.probe()
        if not report.available:
            pytest.skip(f"no user namespaces here, so that level is NOT tested: {report.unavailable_reason}")
        assert report.details["jail"] == "userns"
        assert (await run(v8, "export default () => 1;")).result == 1


async def test_a_deno_that_does_not_start_is_told() -> None:
    async with backend(deno="/bin/false") as v8:
        report = await v8.probe()
        assert not report.available
        assert "does not work here" in report.unavailable_reason


PLAIN_USER = """
import asyncio, sys
from support.v8_runs import run
from support.v8_backend import backend
async def main():
    async with backend(deno=sys.argv[1]) as v8:
        report = await v8.probe()
        print(report.details["jail"])
        print((await run(v8, "export default () => 6 * 7;")).result)
        assert not list(v8.leftovers())
asyncio.run(main())
"""


VIEW = 'mount --bind "$1" "$2" && shift 2 && exec setpriv --reuid=65534 --regid=65534 --clear-groups "$@"'
"""What root does to become a user who may not enter the checkout's parents, and to show that user the checkout."""


@pytest.mark.skipif(not IS_ROOT, reason="needs root to become a plain user; run as a plain user, the other tests do it")
@pytest.mark.skipif(not HAS_BWRAP, reason="no mount namespaces here, as in a chroot: the plain user is NOT tested")
def test_as_a_plain_user() -> None:
    checkout = str(Path(__file__).parents[3])
    folder = Path(tempfile.mkdtemp(prefix="v8t-view-", dir="/tmp"))
    view = str(folder)
    paths = [path.replace(checkout, view) for path in sys.path if path]
    done = subprocess.run(
        [
            *("unshare", "--mount", "--propagation", "private", "sh", "-c", VIEW, "sh", checkout, view),
            *(_python_for_all(), "-c", PLAIN_USER, os.fsdecode(find_deno_bin()).replace(checkout, view)),
        ],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(paths), "HOME": "/tmp"},
        capture_output=True,
        text=True,
        timeout=90,
        cwd="/",
    )
    folder.rmdir()
    assert done.returncode == 0, done.stderr
    level, result = done.stdout.split("\n")[:2]
    assert level in ("userns", "none")
    assert result == "42"


def _python_for_all() -> str:
    """An interpreter of this version that a plain user may start; the system's, if ours is in somebody's home."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for place in (sys.executable, shutil.which(version, path="/usr/bin:/usr/local/bin")):
        if place is not None and _readable_by_all(Path(place)):
            return place
    pytest.skip("no interpreter of this version that a plain user may read: NOT tested")


def _readable_by_all(path: Path) -> bool:
    real = path.resolve()
    return all(parent.stat().st_mode & 0o001 for parent in real.parents) and bool(real.stat().st_mode & 0o001)


VICTIM = """
import asyncio, sys
from support.v8_backend import settings
from support.v8_runs import program
from vulcan_executor_v8 import wiring
from vulcan_sandbox.contract import request, Output
from pathlib import Path
async def main():
    v8 = wiring.backend(settings(Path(sys.argv[2])), sys.argv[1])
    spin = await v8.prepare(request(program("console.log('on'); for (;;);")), print)
    output = Output()
    await spin.start(output)
    await output.until(lambda out: out.size > 0)
    print("running", flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


@pytest.mark.parametrize("jail", ["auto", "none"])
async def test_the_next_life_destroys_what_a_killed_executor_left(jail: str) -> None:
    node, config = new_node(), settings(jail=jail)
    victim = await asyncio.create_subprocess_exec(
        sys.executable, "-c", VICTIM, node, config.run_dir, stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert victim.stdout is not None
    try:
        assert await asyncio.wait_for(victim.stdout.readline(), 40) == b"running\n"
    finally:
        victim.send_signal(signal.SIGKILL)
        await victim.wait()
    heir = wiring.backend(config, node)
    try:
        await heir.recover()
        assert list(heir.leftovers()) == []
        assert using(Path(config.run_dir)) == {}
        assert (await run(heir, "export default () => 'alive';")).result == "alive"
    finally:
        await heir.close()
        shutil.rmtree(config.run_dir)


async def test_the_nodes_folder_is_closed_to_other_users() -> None:
    config, node = settings(), new_node()
    v8 = wiring.backend(config, node)
    assert (await run(v8, "console.log(1);")).stdout == "1\n"
    assert stat.S_IMODE(os.stat(Path(config.run_dir) / node).st_mode) == 0o700  # noqa: PTH116  # of a test
    await v8.close()
    shutil.rmtree(config.run_dir)


async def test_closing_leaves_nothing() -> None:
    config, node = settings(warm_hosts=2), new_node()
    v8 = wiring.backend(config, node)
    await run(v8, "console.log(1);")
    await v8.close()
    assert _traces(Path(config.run_dir), node) == []
    shutil.rmtree(config.run_dir)


def _traces(folder: Path, node: str) -> list[object]:
    files = list(folder.rglob("*"))
    return [*using(folder).values(), *files, *Path("/sys/fs/cgroup").rglob(f"vulcan-v8-{node}")]
