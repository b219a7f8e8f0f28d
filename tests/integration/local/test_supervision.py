"""The supervisor on small real programs: crashes, ways to stop, and nothing left behind."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from support.told import Told
from vulcan_local.errors import StartFailedError
from vulcan_local.policy import RestartPolicy
from vulcan_local.service import Service, StopStep
from vulcan_local.supervisor import Supervisor

DEADLINE_S = 30.0
HERE = Path(__file__).parent
POLICY = RestartPolicy(initial_delay_s=0.01, max_delay_s=0.05)
SERVES = "import time; print('up', flush=True); time.sleep(600)"
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
IGNORES_SIGTERM = f"{DEAF}; {SERVES}"
HAS_A_CHILD = (
    f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); {SERVES}"
)


def service(told: Told, name: str, code: str, **changed: Any) -> Service:
    """A program that is ready once it has printed a line."""

    async def probe(_pid: int) -> str | None:
        return None if "up" in told.lines else "it said nothing yet"

    fields: dict[str, Any] = {
        "name": name,
        "argv": [sys.executable, "-S", "-c", code],
        "env": {"PATH": os.defpath},
        "probe": probe,
        "ready_timeout_s": DEADLINE_S,
        "stop": [StopStep(signal=signal.SIGTERM, timeout_s=DEADLINE_S)],
        **changed,
    }
    return Service(**fields)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110 - what it waits for happens in another process
            await asyncio.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_a_crashed_service_is_started_again() -> None:
    told = Told()
    supervisor = Supervisor(told, POLICY)
    await supervisor.start([service(told, "one", SERVES)])
    first = told.pids["one"]
    os.kill(first, signal.SIGKILL)
    await until(lambda: told.pids["one"] != first and told.notes[-1].startswith("one ready"))
    assert "one ended by signal 9; starting it again in 0.01 s" in told.notes
    second = told.pids["one"]
    await supervisor.stop([])
    assert not alive(second)


async def test_services_stop_in_the_given_order_and_the_rest_after_them() -> None:
    told = Told()
    supervisor = Supervisor(told, POLICY)
    await supervisor.start([service(told, name, SERVES) for name in ("a", "b", "c", "d")])
    await supervisor.stop(["b", "a", "unknown"])
    assert told.stopped() == ["b", "a", "d", "c"]
    assert not any(alive(pid) for pid in told.pids.values())


async def test_one_that_does_not_listen_is_killed_with_its_children() -> None:
    told = Told()
    supervisor = Supervisor(told, POLICY)
    stop = [StopStep(signal=signal.SIGTERM, timeout_s=0.2)]
    await supervisor.start([service(told, "deaf", f"{DEAF}; {HAS_A_CHILD}", stop=stop)])
    children = children_of(told.pids["deaf"])
    assert children
    await supervisor.stop([])
    assert told.notes[-1].startswith("deaf killed after")
    await until(lambda: not any(alive(pid) for pid in [told.pids["deaf"], *children]))


async def test_a_service_that_never_comes_up_fails_the_start_with_its_last_words() -> None:
    told = Told()
    supervisor = Supervisor(told, POLICY)
    with pytest.raises(StartFailedError, match="one ended with exit code 3, 3 times in a row") as raised:
        await supervisor.start([service(told, "one", "import sys; print('no such thing', flush=True); sys.exit(3)")])
    assert "no such thing" in raised.value.tail
    await supervisor.stop([])


async def test_a_service_that_is_not_ready_in_time_fails_the_start_with_what_is_missing() -> None:
    told = Told()
    supervisor = Supervisor(told, POLICY)
    with pytest.raises(StartFailedError, match="said nothing yet"):
        await supervisor.start([service(told, "one", "import time; time.sleep(600)", ready_timeout_s=0.2)])
    await supervisor.stop([])
    assert not alive(told.pids["one"])


async def test_a_program_that_is_not_there_is_told() -> None:
    told = Told()
    supervisor = Supervisor(told, POLICY)
    with pytest.raises(StartFailedError) as raised:
        await supervisor.start([service(told, "one", "", argv=["/no/such/program"])])
    assert "cannot start /no/such/program: [Errno 2]" in raised.value.tail
    await supervisor.stop([])


async def test_the_impatient_way_ends_all_at_once() -> None:
    told = Told()
    supervisor = Supervisor(told, POLICY)
    await supervisor.start([service(told, name, IGNORES_SIGTERM) for name in ("a", "b")])
    stopping = asyncio.create_task(supervisor.stop([]))
    await asyncio.sleep(0.1)
    supervisor.kill()
    async with asyncio.timeout(DEADLINE_S / 2):
        await stopping
    assert not any(alive(pid) for pid in told.pids.values())


async def test_output_survives_endless_lines_bytes_and_a_missing_last_newline() -> None:
    told = Told()
    supervisor = Supervisor(told, POLICY)
    code = (
        "import sys, time; out = sys.stdout.buffer; out.write(b'x' * 1_000_000 + b'\\n\\xff\\r\\n')"
        "; out.write(b'up\\n' + b'last'); out.flush(); time.sleep(600)"
    )
    await supervisor.start([service(told, "one", code)])
    await supervisor.stop([])
    assert max(map(len, told.lines)) < 70_000
    assert sum(line.count("x") for line in told.lines) >= 16_384
    assert told.lines[-3:] == ["\ufffd", "up", "last"]


STUCK = f"import sys; print('cannot write', flush=True); {SERVES}"


async def test_one_that_is_stuck_is_started_again_once_that_helps() -> None:
    told = Told()
    supervisor = Supervisor(told, POLICY)
    hindrances: list[str | None] = ["there is no room"]

    def stuck(line: str) -> bool:
        return line == "cannot write" and hindrances[-1] is not None

    await supervisor.start([service(told, "one", STUCK, stuck=stuck, hindrance=lambda: hindrances[-1])])
    first = told.pids["one"]
    await until(lambda: "one takes nothing new: there is no room" in told.notes)
    await asyncio.sleep(0)
    assert alive(first)  # it can still be read from
    hindrances.append(None)
    await until(lambda: told.pids["one"] != first and told.notes[-1].startswith("one ready"))
    assert "one can go on with a new start" in told.notes
    assert not alive(first)
    second = told.pids["one"]
    await supervisor.stop([])
    assert told.pids["one"] == second


async def test_one_that_is_stuck_stops_when_asked() -> None:
    told = Told()
    supervisor = Supervisor(told, POLICY)
    stuck = service(told, "one", STUCK, stuck=lambda line: line == "cannot write", hindrance=lambda: "no room")
    await supervisor.start([stuck])
    await until(lambda: "one takes nothing new: no room" in told.notes)
    await supervisor.stop([])
    assert not alive(told.pids["one"])
    assert told.notes[-1].startswith("one stopped in")


def children_of(pid: int) -> list[int]:
    """The processes whose parent this is, and theirs."""
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if parent == pid:
                found += [int(entry.name), *children_of(int(entry.name))]
    return found


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "gave up waiting"
        time.sleep(0.02)


SUPERVISES = """
import asyncio, json, os, signal, sys
from pathlib import Path
sys.path[:0] = json.loads(sys.argv[1])
from support.told import Told
from test_supervision import HAS_A_CHILD, POLICY, SERVES, service
from vulcan_local.datadir import DataDir
from vulcan_local.orphans import adopt_orphans, kill_orphans
from vulcan_local.postgres import EmbeddedPostgres
from vulcan_local.supervisor import Supervisor

async def main():
    adopt_orphans()
    told = Told()
    postgres = EmbeddedPostgres(DataDir.open(Path(sys.argv[2])))
    await postgres.prepare()
    supervisor = Supervisor(told, POLICY)
    await supervisor.start([service(told, "one", SERVES), service(told, "parent", HAS_A_CHILD)])
    await supervisor.start([postgres.service(ready_timeout_s=30, stop_timeout_s=30)])
    print(json.dumps(told.pids), flush=True)
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    await stopped.wait()
    await supervisor.stop([])
    print(await kill_orphans(), flush=True)

asyncio.run(main())
"""


def supervise(data: Path) -> tuple["subprocess.Popen[str]", dict[str, int]]:
    """A supervisor in a process of its own, with three services, one of them with a child of its own."""
    argv: Sequence[str] = [sys.executable, "-c", SUPERVISES, json.dumps([str(HERE), str(HERE.parents[1])]), str(data)]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    pids: dict[str, int] = json.loads(process.stdout.readline())
    return process, pids


def test_nothing_is_left_when_the_supervisor_itself_is_killed(tmp_path: Path) -> None:
    process, pids = supervise(tmp_path)
    with process:
        workers = children_of(pids["postgres"])
        assert workers
        process.kill()
    wait_until(lambda: not any(alive(pid) for pid in [*pids.values(), *workers]))


def test_orphans_of_a_crashed_service_are_ended_at_the_stop(tmp_path: Path) -> None:
    process, pids = supervise(tmp_path)
    with process:
        orphans = children_of(pids["parent"])
        assert len(orphans) == 1
        os.kill(pids["parent"], signal.SIGKILL)
        wait_until(lambda: not alive(pids["parent"]))
        assert alive(orphans[0])
        process.terminate()
        assert process.stdout is not None
        assert int(process.stdout.read()) >= 1
        assert process.wait(DEADLINE_S) == 0
    assert not any(alive(pid) for pid in [*pids.values(), *orphans])
