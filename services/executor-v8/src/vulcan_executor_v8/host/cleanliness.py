"""The proof that a run left nothing behind in its host, without which the host is killed."""

import asyncio
import os
import time
from collections import Counter
from typing import Final

from msgspec import Struct

from vulcan_executor_v8.host import vitals
from vulcan_executor_v8.host.process import Host

_SHORTEST_PAUSE_S: Final = 0.001
_LONGEST_PAUSE_S: Final = 0.1
_CPU_ALLOWED_S: Final = 0.1
"""What taking down a Worker may cost. Time passes on a busy machine without anybody's doing; CPU time does not."""
_MEMORY_SLACK: Final = 16 * 1_048_576
_STANDARD: Final = ("0", "1", "2")
_LATE_SOCKETS: Final = 2
"""Deno makes a pair of sockets for signals half a second after its start, whatever runs in it."""


class Baseline(Struct, frozen=True, kw_only=True):
    """A host before its first run, as far as this user may look into it."""

    memory_bytes: int
    descriptors: dict[str, str] | None
    flags: list[str | None]
    working_folder: str | None
    scratch: frozenset[str] | None


def measure(host: Host) -> Baseline:
    """What a host looks like now."""
    return Baseline(
        memory_bytes=host.memory_bytes(),
        descriptors=vitals.descriptors(host.pid),
        flags=_flags(host),
        working_folder=vitals.working_folder(host.pid),
        scratch=_scratch(host),
    )


async def proved_clean(host: Host, baseline: Baseline, timeout_s: float) -> bool:
    """True if, before the time is up, no Worker thread is left, every other thread sleeps, memory is back down, and no
    descriptor, no file, no byte in a pipe and no change of folder or of the streams' mode is there that was not there
    before the first run.

    What cannot be looked at is not clean.
    """
    deadline, cpu_limit_s = time.monotonic() + timeout_s, host.cpu_s() + _CPU_ALLOWED_S
    pause_s = _SHORTEST_PAUSE_S
    while time.monotonic() < deadline and host.alive and host.cpu_s() < cpu_limit_s:
        if _spoke(host):
            return False
        if vitals.at_rest(host.pid):
            if not _same_folders(host, baseline):
                return False
            if _same_descriptors(host, baseline) and _memory_is_down(host, baseline):
                return not _spoke(host)
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
    return False


def _memory_is_down(host: Host, baseline: Baseline) -> bool:
    return host.memory_bytes() <= baseline.memory_bytes + _MEMORY_SLACK


def _spoke(host: Host) -> bool:
    return any(pipe.read() or pipe.broken for pipe in (host.stdout, host.stderr)) or host.channel.pending()


def _same_folders(host: Host, baseline: Baseline) -> bool:
    scratch = _scratch(host)
    if scratch is None or baseline.scratch is None or not scratch <= baseline.scratch:
        return False
    return baseline.working_folder is not None and vitals.working_folder(host.pid) == baseline.working_folder


def _same_descriptors(host: Host, baseline: Baseline) -> bool:
    now, before = vitals.descriptors(host.pid), baseline.descriptors
    if now is None or before is None or any(now.get(name) != before.get(name) for name in _STANDARD):
        return False
    if _flags(host) != baseline.flags:  # a program has made them non-blocking: the next one's output would be cut off
        return False
    new = Counter(now.values()) - Counter(before.values())
    return len(new) <= _LATE_SOCKETS and all(target.startswith("socket:") for target in new)


def _flags(host: Host) -> list[str | None]:
    return [vitals.open_flags(host.pid, descriptor) for descriptor in _STANDARD]


def _scratch(host: Host) -> frozenset[str] | None:
    """The names in the writable folders: Deno's own are in the baseline."""
    folders = (
        [f"/proc/{host.pid}/root/tmp", f"/proc/{host.pid}/root/cache"] if host.jailed else [f"{host.folder}/scratch"]
    )
    try:
        return frozenset(name for folder in folders for name in os.listdir(folder))  # noqa: PTH208  behind every run, as in vitals
    except OSError:
        return None
