"""One host's control group: the same questions, whichever version answers them."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from msgspec import Struct

from vulcan_executor_v8.cgroups.files import KernelFiles

_MIB: Final = 1_048_576
_PERIOD_US: Final = 100_000
_CHUNK: Final = 65_536


class Limits(Struct, frozen=True, kw_only=True):
    """What a group may use."""

    memory_bytes: int
    cpus: float
    pids: int


class Usage(Struct, frozen=True, kw_only=True):
    """What a group has used; None where no controller tells. Counters run since the group was made."""

    cpu_s: float | None = None
    peak_bytes: int | None = None
    oom_kills: int = 0
    memory_hits: int = 0
    pids_hits: int = 0


class Group:
    """A folder per controller. `memory`, `cpu`, `cpuacct` and `pids` are in `folders` with their version, if there."""

    def __init__(self, folders: dict[str, tuple[int, Path]]) -> None:
        self._folders = folders
        self._current: Limits | None = None
        self._files = KernelFiles()

    @property
    def join_files(self) -> list[str]:
        """What a process writes 0 to, to become a member."""
        return sorted({str(folder / "cgroup.procs") for _, folder in self._folders.values()})

    @property
    def limits_memory(self) -> bool:
        """True if the kernel bounds this group's memory."""
        return "memory" in self._folders

    def set_limits(self, limits: Limits) -> None:
        """Bound the group from now on."""
        current = self._current
        if current is None or current.memory_bytes != limits.memory_bytes:
            self._set_memory(limits.memory_bytes)
        if current is None or current.cpus != limits.cpus:
            self._set_cpus(limits.cpus)
        if current is None or current.pids != limits.pids:
            self._write("pids", "pids.max", "pids.max", str(limits.pids))
        self._current = limits

    def _set_memory(self, limit: int) -> None:
        place = self._folders.get("memory")
        if place is None:
            return
        version, folder = place
        if version == 2:
            _put(f"{folder}/memory.max", str(limit))
            _put_if_there(f"{folder}/memory.swap.max", "0")
            _put_if_there(f"{folder}/memory.oom.group", "1")
            return
        swap = f"{folder}/memory.memsw.limit_in_bytes"
        for text in ("-1", str(limit)):  # the two limits may never cross; -1 opens the way
            if text == "-1":
                _put_if_there(swap, text)
            else:
                _put(f"{folder}/memory.limit_in_bytes", text)
                _put_if_there(swap, text)

    def _set_cpus(self, cpus: float) -> None:
        quota = str(max(1000, int(cpus * _PERIOD_US)))
        place = self._folders.get("cpu")
        if place is None:
            return
        version, folder = place
        if version == 2:
            _put(f"{folder}/cpu.max", f"{quota} {_PERIOD_US}")
        else:
            _put_if_there(f"{folder}/cpu.cfs_period_us", str(_PERIOD_US))
            _put_if_there(f"{folder}/cpu.cfs_quota_us", quota)

    def reset_peak(self) -> None:
        """Forget the highest memory use, where the kernel lets one."""
        place = self._folders.get("memory")
        if place is not None:
            version, folder = place
            name = "memory.peak" if version == 2 else "memory.max_usage_in_bytes"
            self._files.write(f"{folder}/{name}", "0")

    def cpu_s(self) -> float | None:
        """The CPU seconds used so far."""
        place = self._folders.get("cpuacct")
        if place is None:
            return None
        version, folder = place
        if version == 1:
            return int(self._files.read(f"{folder}/cpuacct.usage") or 0) / 1e9
        return _fields(self._files.read(f"{folder}/cpu.stat")).get("usage_usec", 0) / 1e6

    def memory_bytes(self) -> int | None:
        """The memory in use that is not only cached files."""
        place = self._folders.get("memory")
        if place is None:
            return None
        version, folder = place
        stat = _fields(self._files.read(f"{folder}/memory.stat"))
        if version == 2:
            return stat.get("anon", 0) + stat.get("shmem", 0) + stat.get("kernel", 0)
        return stat.get("rss", 0) + stat.get("shmem", 0)

    def usage(self) -> Usage:
        """Everything at once."""
        peak, kills, hits = None, 0, 0
        place = self._folders.get("memory")
        if place is not None:
            version, folder = place
            if version == 2:
                events = _fields(self._files.read(f"{folder}/memory.events"))
                kills, hits = events.get("oom_kill", 0), events.get("max", 0)
                peak = _number(self._files.read(f"{folder}/memory.peak"))
            else:
                kills = _fields(self._files.read(f"{folder}/memory.oom_control")).get("oom_kill", 0)
                hits = _number(self._files.read(f"{folder}/memory.failcnt")) or 0
                peak = _number(self._files.read(f"{folder}/memory.max_usage_in_bytes"))
        return Usage(
            cpu_s=self.cpu_s(),
            peak_bytes=peak,
            oom_kills=kills,
            memory_hits=hits,
            pids_hits=self._pids_hits(),
        )

    def _pids_hits(self) -> int:
        place = self._folders.get("pids")
        return 0 if place is None else _fields(self._files.read(f"{place[1]}/pids.events")).get("max", 0)

    def processes(self) -> set[int]:
        """The members, as the kernel knows them here."""
        found: set[int] = set()
        for _, folder in self._folders.values():
            found |= {int(line) for line in _read(f"{folder}/cgroup.procs").split()}
        return found

    def kill(self) -> None:
        """Send SIGKILL to every member."""
        for version, folder in self._folders.values():
            if version == 2 and (folder / "cgroup.kill").exists():
                _put_if_there(f"{folder}/cgroup.kill", "1")
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def remove(self) -> bool:
        """Delete the group; False while it still has members."""
        self._files.close()
        removed = [_rmdir(folder) for folder in self._unique_folders()]
        return all(removed)

    def _unique_folders(self) -> Iterator[Path]:
        yield from {folder for _, folder in self._folders.values()}

    def _write(self, controller: str, name_v1: str, name_v2: str, text: str) -> None:
        place = self._folders.get(controller)
        if place is not None:
            _put(f"{place[1]}/{name_v2 if place[0] == 2 else name_v1}", text)


def _read(path: str) -> str:
    """The text of a file, opened anew: of its members, version 1 tells each opener what it saw then."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            parts = iter(lambda: os.read(descriptor, _CHUNK), b"")
            return b"".join(parts).decode()
        finally:
            os.close(descriptor)
    except OSError:  # the group is gone, or this kernel does not have the file: as good as empty
        return ""


def _put(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def _put_if_there(path: str, text: str) -> None:
    with contextlib.suppress(OSError):  # this kernel lacks the file, or what it does
        _put(path, text)


def _rmdir(folder: Path) -> bool:
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _number(text: str) -> int | None:
    text = text.strip()
    return int(text) if text.isdigit() else None


def _fields(text: str) -> dict[str, int]:
    pairs = (line.split() for line in text.splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}
