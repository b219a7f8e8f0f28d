"""What /proc tells about a host: CPU time, memory, threads. Zero or nothing where there is no /proc."""

import contextlib
import os
from pathlib import Path
from typing import Final

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_TICK: Final = os.sysconf("SC_CLK_TCK")


def cpu_s(pid: int) -> float:
    """The CPU seconds of a process, all threads together."""
    fields = _after_name(Path(f"/proc/{pid}/stat"))
    return (int(fields[11]) + int(fields[12])) / _TICK if len(fields) > 12 else 0.0


def resident_bytes(pid: int) -> int:
    """The memory of a process that is not mapped from files."""
    try:
        fields = Path(f"/proc/{pid}/statm").read_text().split()
    except OSError:
        return 0
    return (int(fields[1]) - int(fields[2])) * _PAGE


def worker_threads(pid: int) -> int | None:
    """How many threads run a Worker; None where nobody can tell."""
    count = 0
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            count += (task / "comm").read_text().startswith("worker-")
    except OSError:
        return None
    return count


def descriptors(pid: int) -> dict[str, str] | None:
    """What each open descriptor of a process leads to; None where nobody can tell."""
    found: dict[str, str] = {}
    try:
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed since the folder was listed
                found[link.name] = str(link.readlink())
    except OSError:
        return None
    return found


def working_folder(pid: int) -> str | None:
    """Where a process stands; None where nobody can tell."""
    try:
        return str(Path(f"/proc/{pid}/cwd").readlink())
    except OSError:
        return None


def _after_name(path: Path) -> list[str]:
    try:
        return path.read_text().rpartition(")")[2].split()
    except OSError:
        return []
