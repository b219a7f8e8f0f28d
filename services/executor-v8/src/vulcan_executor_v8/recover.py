"""Destroys the hosts of an earlier life of this node: processes, control groups, folders."""

import asyncio
import contextlib
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Final

import structlog

from vulcan_executor_v8.cgroups.tree import CgroupTree

_PAUSE_S: Final = 0.02

log = structlog.get_logger(__name__)


async def destroy_leftovers(tree: CgroupTree, run_dir: Path, timeout_s: float) -> None:
    """Leave nothing of what is in this node's branch of the control groups and in its run folder."""
    deadline = time.monotonic() + timeout_s
    groups = tree.leftovers()
    processes = _using(run_dir)
    if groups or processes:
        log.info("destroying_leftovers", groups=len(groups), processes=len(processes))
    while groups or processes:
        for pid in processes:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        for group in groups:
            group.kill()
        groups = [group for group in groups if not group.remove()]
        processes = _using(run_dir)
        if time.monotonic() > deadline:
            log.error("leftovers_stay", groups=len(groups), processes=sorted(processes))
            break
        if groups or processes:
            await asyncio.sleep(_PAUSE_S)
    for child in run_dir.iterdir() if run_dir.is_dir() else ():
        shutil.rmtree(child, ignore_errors=True)


def _using(run_dir: Path) -> set[int]:
    """The processes whose command line names a folder of ours: hosts, and the jails around them."""
    mark = f"{run_dir}/".encode()
    found: set[int] = set()
    for entry in Path("/proc").iterdir() if Path("/proc/self").exists() else ():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                if mark in (entry / "cmdline").read_bytes():
                    found.add(int(entry.name))
    return found
