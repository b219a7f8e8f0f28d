"""Destroys the hosts of executors that are dead: processes, control groups, folders."""

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
from vulcan_executor_v8.owner import LOCK, nobodys

_PAUSE_S: Final = 0.02

log = structlog.get_logger(__name__)


async def destroy_leftovers(tree: CgroupTree, run_dir: Path, timeout_s: float) -> None:
    """Leave nothing of what is in a node's branch of the control groups and in its run folder. The caller owns both."""
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
        if child.name != LOCK:
            shutil.rmtree(child, ignore_errors=True)


async def sweep_others(tree: CgroupTree, run_dir: Path, timeout_s: float) -> None:
    """Destroy what other nodes left beside this one, if their executors are dead.

    Only a folder with a lock in it is known to be a node's. A control group of which no folder tells goes only if it
    is empty: its owner may keep its folders elsewhere.
    """
    groups = tree.others()
    for folder in sorted(run_dir.parent.iterdir()):
        if folder != run_dir and _is_nodes(folder):
            theirs = groups.pop(folder.name, CgroupTree({}, {}))
            with nobodys([folder / LOCK, *theirs.branches]) as dead:
                if dead:
                    log.info("sweeping_dead_node", node=folder.name)
                    await destroy_leftovers(theirs, folder, timeout_s)
                    remove_node(theirs, folder)
    for node, theirs in groups.items():
        left = theirs.leftovers()
        with nobodys(theirs.branches) as dead:
            if dead and not any(group.processes() for group in left):
                log.info("sweeping_empty_groups", node=node)
                for group in left:
                    group.remove()
                theirs.remove()


def _is_nodes(folder: Path) -> bool:
    try:
        return (folder / LOCK).lstat().st_uid == os.geteuid()
    except OSError:
        return False


def remove_node(tree: CgroupTree, run_dir: Path) -> None:
    """Remove an emptied folder and its branches of the control groups, whose locks the caller holds."""
    tree.remove()
    (run_dir / LOCK).unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # gone already, or not empty
        run_dir.rmdir()


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
