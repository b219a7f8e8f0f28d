"""The processes of a stack, found in /proc: by descent from its supervisor, whatever they call themselves."""

import contextlib
import os
from collections import defaultdict
from pathlib import Path
from typing import Final, NamedTuple

_DENO: Final = "deno"
_SOURCE_IN_JAIL: Final = "/src"


class Process(NamedTuple):
    """A process. The start time tells it from a later one with the same number."""

    pid: int
    started: int


class Found(NamedTuple):
    """What /proc says of a process."""

    process: Process
    parent: int
    state: str


class Host(NamedTuple):
    """A Deno host; `busy` while a run's sources lie before it."""

    pid: int
    busy: bool


def everybody() -> dict[int, Found]:
    """All processes now, by pid."""
    found: dict[int, Found] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
                pid = int(entry.name)
                found[pid] = Found(Process(pid, int(fields[19])), int(fields[1]), fields[0])
    return found


def descendants(root: int) -> set[Process]:
    """This process and all below it."""
    processes = everybody()
    children: dict[int, list[int]] = defaultdict(list)
    for pid, found in processes.items():
        children[found.parent].append(pid)
    wanted, seen = [root], set()
    while wanted:
        pid = wanted.pop()
        if pid in processes and processes[pid].process not in seen:
            seen.add(processes[pid].process)
            wanted += children[pid]
    return seen


def survivors(family: set[Process]) -> list[str]:
    """Those of the family that are still there, in words."""
    now = everybody()
    return [
        f"process {each.pid} ({now[each.pid].state}): {' '.join(command(each.pid))[:120] or name(each.pid)}"
        for each in sorted(family)
        if each.pid in now and now[each.pid].process == each
    ]


def command(pid: int) -> list[str]:
    """Its command line; empty if it is gone."""
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return []
    return raw.decode("utf-8", "replace").rstrip("\0").split("\0")


def name(pid: int) -> str:
    """What the kernel calls it; empty if it is gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def environment(pid: int) -> dict[str, str]:
    """The environment that it was started with."""
    raw = Path(f"/proc/{pid}/environ").read_bytes().decode("utf-8", "replace")
    return dict(entry.split("=", 1) for entry in raw.split("\0") if "=" in entry)


def hosts(executor: int) -> list[Host]:
    """The Deno hosts of an executor, oldest first."""
    processes = everybody()
    found = []
    for each in sorted(descendants(executor), key=lambda process: process.started):
        words = command(each.pid)
        if words and os.path.basename(words[0]) == _DENO and "run" in words:  # noqa: PTH119 - a word, no path
            parent = processes[each.pid].parent if each.pid in processes else 0
            found.append(Host(each.pid, busy=_has_source(words) or _has_source(command(parent))))
    return found


def _has_source(words: list[str]) -> bool:
    """Whether the folder that a jail's or a host's command line names for sources has any."""
    shown = [words[place - 1] for place, word in enumerate(words) if word == _SOURCE_IN_JAIL and place]
    read = [word.removeprefix("--allow-read=").split(",")[0] for word in words if word.startswith("--allow-read=")]
    for folder in (*shown, *read):
        with contextlib.suppress(OSError):
            if folder != _SOURCE_IN_JAIL and any(Path(folder).iterdir()):
                return True
    return False
