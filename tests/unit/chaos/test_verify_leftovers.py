import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from chaos import processes, verify_leftovers
from chaos.verify_leftovers import Traces

MOUNTS = """\
22 28 0:20 / /sys rw,nosuid shared:7 - sysfs sysfs rw
90 28 0:50 /data/x /run/vulcan-v8/here-v8/1 rw - tmpfs tmpfs rw
91 28 0:51 / /somewhere rw - tmpfs tmpfs rw
92 28 0:52 / /database rw - tmpfs tmpfs rw
"""
SYSV = """\
       key      shmid perms                  size  cpid  lpid nattch
  10002480    1507331   600                    56 20773 20773      0
"""


@contextmanager
def child() -> Iterator[int]:
    """A process below this one."""
    with subprocess.Popen(["/bin/sleep", "60"]) as process:
        try:
            yield process.pid
        finally:
            process.send_signal(signal.SIGKILL)


@pytest.fixture
def traces(tmp_path: Path) -> Traces:
    for name in ("data", "tmp"):
        (tmp_path / name).mkdir()
    runtime = frozenset({tmp_path / "runtime"})
    return Traces(frozenset(), tmp_path / "data", tmp_path / "tmp", runtime, frozenset({"no-such-node-v8"}))


def found(traces: Traces) -> list[str]:
    return verify_leftovers.violations(traces, verify_leftovers.before())


def test_nothing_is_left(traces: Traces) -> None:
    assert found(traces) == []


def test_a_process_that_stays(traces: Traces) -> None:
    with child() as pid:
        family = processes.descendants(os.getpid())
        mine = frozenset(each for each in family if each.pid == pid)
        assert len(mine) == 1
        [wrong] = found(traces._replace(family=mine))
        assert wrong.startswith(f"process {pid} (S): /bin/sleep 60")
    assert found(traces._replace(family=mine)) == []


def test_a_process_that_has_the_number_of_an_earlier_one(traces: Traces) -> None:
    with child() as pid:
        earlier = frozenset({processes.Process(pid, 1)})
        assert found(traces._replace(family=earlier)) == []


def test_a_temporary_file_that_stays(traces: Traces) -> None:
    (traces.temp / "vulcan-upload-1").touch()
    assert found(traces) == [f"temporary file {traces.temp / 'vulcan-upload-1'}"]


def test_a_runtime_folder_that_stays(traces: Traces) -> None:
    [folder] = traces.runtime
    folder.mkdir()
    assert found(traces) == [f"runtime folder {folder}"]


def test_a_socket_that_stays(traces: Traces) -> None:
    with socket.socket(socket.AF_UNIX) as listening, tempfile.TemporaryDirectory(dir="/tmp") as short:
        path = Path(short, "s")
        listening.bind(str(path))
        assert found(traces._replace(data=Path(short))) == [f"socket {path}"]


def test_a_mount_that_stays() -> None:
    assert list(verify_leftovers.mounts(MOUNTS, [Path("/run/vulcan-v8/here-v8")])) == [
        "mount of /data/x on /run/vulcan-v8/here-v8/1"
    ]
    assert list(verify_leftovers.mounts(MOUNTS, [Path("/data")])) == ["mount of /data/x on /run/vulcan-v8/here-v8/1"]
    assert list(verify_leftovers.mounts(MOUNTS, [Path("/elsewhere")])) == []


def test_a_network_namespace_that_stays(traces: Traces, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify_leftovers, "_NAMESPACES", tmp_path)
    earlier = verify_leftovers.before()
    (tmp_path / "vulcan-1").touch()
    assert verify_leftovers.violations(traces, earlier) == ["network namespace vulcan-1"]


def test_system_v_shared_memory_that_stays(traces: Traces, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / "shm"
    table.write_text(SYSV.splitlines()[0])
    monkeypatch.setattr(verify_leftovers, "_SYSV", table)
    earlier = verify_leftovers.before()
    table.write_text(SYSV)
    assert verify_leftovers.violations(traces, earlier) == []
    mine = traces._replace(family=frozenset({processes.Process(20773, 1)}))
    assert verify_leftovers.violations(mine, earlier) == ["System V shared memory 1507331"]
    assert found(mine) == []


@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="has no shared memory")
def test_shared_memory_that_stays(traces: Traces) -> None:
    earlier = verify_leftovers.before()
    path = Path("/dev/shm", f"vulcan-test-{os.getpid()}")
    path.touch()
    try:
        assert f"shared memory {path}" in verify_leftovers.violations(traces, earlier)
    finally:
        path.unlink()


@pytest.mark.skipif(os.geteuid() != 0, reason="makes a control group")
def test_a_control_group_that_stays(traces: Traces) -> None:
    roots = [folder for folder in Path("/sys/fs/cgroup").iterdir() if (folder / "cgroup.procs").exists()]
    group = next(iter(roots), Path("/sys/fs/cgroup")) / "vulcan-v8-no-such-node-v8"
    group.mkdir()
    try:
        assert found(traces) == [f"control group {group}"]
    finally:
        group.rmdir()


def test_the_kernels_table_of_shared_memory() -> None:
    assert verify_leftovers.sysv(SYSV) == {1507331: 20773}
