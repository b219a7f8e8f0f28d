"""What /proc tells about a host: CPU time, memory, threads. Zero or nothing where there is no /proc."""

# ruff: noqa: PTH115, PTH208  pathlib takes several times as long, and this is read again and again behind every run

import contextlib
import os
from typing import Final

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_TICK: Final = os.sysconf("SC_CLK_TCK")
_ASLEEP: Final = "SIZXx"
"""The states of a thread that sleeps, idles or is dead."""
_WORKER: Final = "worker-"
"""How Deno names the thread of a Worker, followed by its number: 1 for the process's first."""


def cpu_s(pid: int) -> float:
    """The CPU seconds of a process, all threads together."""
    fields = _after_name(f"/proc/{pid}/stat")
    return (int(fields[11]) + int(fields[12])) / _TICK if len(fields) > 12 else 0.0


def resident_bytes(pid: int) -> int:
    """The memory of a process that is not mapped from files."""
    try:
        fields = _text(f"/proc/{pid}/statm").split()
    except OSError:
        return 0
    return 0 if len(fields) < 3 else (int(fields[1]) - int(fields[2])) * _PAGE


def at_rest(pid: int) -> bool | None:
    """True if no thread runs a Worker and all of them sleep; None where nobody can tell.

    A thread that has work is runnable whether or not a busy machine lets it run, so one look tells.
    """
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            name, _, rest = _text(f"/proc/{pid}/task/{task}/stat").rpartition(")")
            if rest and (rest[1] not in _ASLEEP or f"({_WORKER}" in name):
                return False
    except OSError:
        return None
    return True


def workers(pid: int) -> frozenset[int] | None:
    """The numbers of the Workers that live in a process, in the order of their making; None where nobody can tell."""
    try:
        names = [_text(f"/proc/{pid}/task/{task}/comm").strip() for task in os.listdir(f"/proc/{pid}/task")]
    except OSError:
        return None
    numbers = (name.removeprefix(_WORKER) for name in names if name.startswith(_WORKER))
    return frozenset(int(number) for number in numbers if number.isdigit())


def descriptors(pid: int) -> dict[str, str] | None:
    """What each open descriptor of a process leads to; None where nobody can tell."""
    found: dict[str, str] = {}
    try:
        for name in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(FileNotFoundError):  # closed since the folder was listed
                found[name] = os.readlink(f"/proc/{pid}/fd/{name}")
    except OSError:
        return None
    return found


def open_flags(pid: int, descriptor: str) -> str | None:
    """How a descriptor of a process is open, as the kernel writes it; None where nobody can tell."""
    for line in _text(f"/proc/{pid}/fdinfo/{descriptor}").splitlines():
        if line.startswith("flags:"):
            return line.split()[1]
    return None


def working_folder(pid: int) -> str | None:
    """Where a process stands; None where nobody can tell."""
    try:
        return os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return None


def _text(path: str) -> str:
    """The file's text; empty if it is gone."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except (FileNotFoundError, ProcessLookupError):
        return ""
    try:
        return os.read(descriptor, 4096).decode("utf-8", "replace")
    except ProcessLookupError:
        return ""
    finally:
        os.close(descriptor)


def _after_name(path: str) -> list[str]:
    try:
        return _text(path).rpartition(")")[2].split()
    except OSError:
        return []
