"""A stack that has stopped leaves nothing on the machine but its data directory."""

import os
import stat
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, NamedTuple

from chaos import processes
from chaos.processes import Process

_CGROUPS: Final = Path("/sys/fs/cgroup")
_SHARED_MEMORY: Final = Path("/dev/shm")
_NAMESPACES: Final = Path("/run/netns")
_SYSV: Final = Path("/proc/sysvipc/shm")
_MOUNTS: Final = Path("/proc/self/mountinfo")


class Before(NamedTuple):
    """What there was before the stack was started."""

    shared_memory: frozenset[str]
    sysv: frozenset[int]
    namespaces: frozenset[str]


class Traces(NamedTuple):
    """By what the parts of a stack can be known.

    family: every process that it had. data: its data directory. temp: its own folder for temporary files. runtime: the
    folders outside of both that it made. nodes: the names of its executors, which their control groups bear.
    """

    family: frozenset[Process]
    data: Path
    temp: Path
    runtime: frozenset[Path]
    nodes: frozenset[str]


def before() -> Before:
    """Look around before the start."""
    return Before(_names(_SHARED_MEMORY), frozenset(sysv(_SYSV.read_text())), _names(_NAMESPACES))


def violations(traces: Traces, earlier: Before) -> list[str]:
    """What is left, kind by kind."""
    checks: list[Callable[[], Iterable[str]]] = [
        lambda: processes.survivors(set(traces.family)),
        lambda: _control_groups(traces.nodes),
        lambda: mounts(_MOUNTS.read_text(), [traces.data, traces.temp, *traces.runtime]),
        lambda: (f"network namespace {name}" for name in _names(_NAMESPACES) - earlier.namespaces),
        lambda: (f"temporary file {path}" for path in sorted(traces.temp.rglob("*"))),
        lambda: (f"runtime folder {path}" for path in sorted(traces.runtime) if path.exists()),
        lambda: (f"socket {path}" for path in sorted(_sockets(traces.data))),
        lambda: _shared_memory(earlier.shared_memory),
        lambda: _sysv(earlier.sysv, {each.pid for each in traces.family}),
    ]
    return [wrong for check in checks for wrong in check()]


def _control_groups(nodes: Iterable[str]) -> Iterable[str]:
    names = tuple(nodes)
    for folder, children, _ in os.walk(_CGROUPS):
        for child in children:
            if child.endswith(names):
                yield f"control group {folder}/{child}"


def mounts(table: str, folders: Iterable[Path]) -> Iterable[str]:
    """The mounts of a mountinfo table that have to do with one of these folders."""
    own = [str(folder) for folder in folders]
    for line in table.splitlines():
        fields = line.split()
        root, target = fields[3], fields[4]
        if any(path == folder or path.startswith(f"{folder}/") for path in (root, target) for folder in own):
            yield f"mount of {root} on {target}"


def _sockets(folder: Path) -> Iterable[Path]:
    return (path for path in folder.rglob("*") if stat.S_ISSOCK(path.lstat().st_mode))


def _shared_memory(earlier: frozenset[str]) -> Iterable[str]:
    """What is new in /dev/shm and nobody uses: another program's would be in use."""
    new = {f"{_SHARED_MEMORY}/{name}" for name in _names(_SHARED_MEMORY) - earlier}
    if not new:
        return
    used: set[str] = set()
    for pid in processes.everybody():
        try:
            text = Path(f"/proc/{pid}/maps").read_text("utf-8", "replace")
        except OSError:
            continue
        used |= {path for path in new if path in text}
    yield from (f"shared memory {path}" for path in sorted(new - used) if Path(path).exists())


def _sysv(earlier: frozenset[int], pids: set[int]) -> Iterable[str]:
    for segment, maker in sysv(_SYSV.read_text()).items():
        if segment not in earlier and maker in pids:
            yield f"System V shared memory {segment}"


def sysv(table: str) -> dict[int, int]:
    """System V shared memory with the process that made it, out of the kernel's table."""
    head, *rows = (line.split() for line in table.splitlines())
    return {int(row[head.index("shmid")]): int(row[head.index("cpid")]) for row in rows}


def _names(folder: Path) -> frozenset[str]:
    return frozenset(entry.name for entry in folder.iterdir()) if folder.is_dir() else frozenset()
