"""Processes whose parent, a service, died before them: they become the supervisor's, which ends them at its stop.

A service may still find its own orphans after a restart, so they are left alone until then.
"""

import asyncio
import ctypes
import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

_PR_SET_CHILD_SUBREAPER: Final = 36
_KILL_TIMEOUT_S: Final = 5.0
_POLL_S: Final = 0.02
_REAP_INTERVAL_S: Final = 10.0


def adopt_orphans() -> None:
    """Make this process the parent of all orphans among its descendants.

    Raises:
        OSError: the kernel refuses.
    """
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(1), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "cannot become the reaper of orphans")


async def kill_orphans() -> int:
    """SIGKILL all children that are left, and theirs, until none is. For after the stop.

    Gives how many were still running; ended ones only had their exit codes taken.
    """
    killed: set[int] = set()
    deadline = time.monotonic() + _KILL_TIMEOUT_S
    while (children := _children()) and time.monotonic() < deadline:
        ended = _children(state="Z")
        for pid in children:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
            _collect(pid)
        killed |= children - ended
        await asyncio.sleep(_POLL_S)
    return len(killed)


async def reap_orphans() -> None:
    """Take the exit codes of ended orphans for ever, so that they do not stay as zombies.

    A child of our own is waited for at once by whoever started it: what is a zombie still at the next look is nobody's.
    """
    seen: set[int] = set()
    while True:
        await asyncio.sleep(_REAP_INTERVAL_S)
        zombies = _children(state="Z")
        for pid in zombies & seen:
            _collect(pid)
        seen = zombies - seen


def _collect(pid: int) -> None:
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def _children(state: str | None = None) -> set[int]:
    me = os.getpid()
    found: set[int] = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                text = (entry / "stat").read_text("utf-8", "replace")
            except OSError:
                continue
            now, parent = text.rpartition(")")[2].split()[:2]
            if int(parent) == me and state in (None, now):
                found.add(int(entry.name))
    return found
