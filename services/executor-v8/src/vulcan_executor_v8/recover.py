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
    processes = using(run_dir)
    if groups or processes:
        log.info("destroying_leftovers", groups=len(groups), processes=len(processes))
    while groups or processes:
        for pid in processes:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        for group in groups:
            group.kill()
        groups = [group for group in groups if not group.remove()]
        processes = using(run_dir)
        if time.monotonic() > deadline:
            log.error("leftovers_stay", groups=len(groups), processes=sorted(processes))
            break
        if groups or processes:
            await asyncio.sleep(_PAUSE_S)
    await asyncio.to_thread(_empty, run_dir)


def _empty(folder: Path) -> None:
    for child in folder.iterdir() if folder.is_dir() else ():
        shutil.rmtree(child, ignore_errors=True)


def using(run_dir: Path) -> dict[int, str]:
    """The processes whose command line names a folder of ours, with that line: hosts, and the jails around them."""
    mark = f"{run_dir}/"
    found: dict[int, str] = {}
    for entry in Path("/proc").iterdir() if Path("/proc/self").exists() else ():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
                if mark in words:
                    found[int(entry.name)] = words
    return found
