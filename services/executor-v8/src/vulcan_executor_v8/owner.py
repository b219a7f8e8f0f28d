"""Who owns a node's folder and control groups on this machine: whoever holds their locks.

The kernel takes a lock back from a process that dies, however it dies: a lock that can be had belongs to nobody alive.
"""

import asyncio
import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from vulcan_chassis.errors import StartError
from vulcan_executor_v8.cgroups.tree import CgroupTree

LOCK: Final = "vulcan-v8.lock"
_SWEEP_S: Final = 2.0
"""How long another executor that clears away after the dead may hold a lock; longer, and its holder lives."""
_PAUSE_S: Final = 0.02


class NodeTakenError(StartError):
    """Another executor of this name is alive on this machine."""


class Ownership:
    """The locks of one node: on its run folder and on its branches of the control groups."""

    def __init__(self, node: str, run_dir: Path, tree: CgroupTree) -> None:
        self._node = node
        self._run_dir = run_dir
        self._tree = tree
        self._locks: list[int] = []

    @property
    def held(self) -> bool:
        """True between `take` and `release`."""
        return bool(self._locks)

    async def take(self) -> None:
        """Own the node until `release`, or until this process dies.

        Raises:
            NodeTakenError: somebody alive does.
        """
        if self._locks:
            return
        deadline = time.monotonic() + _SWEEP_S
        while (taken := self._try()) is not None:
            if time.monotonic() > deadline:
                raise NodeTakenError(
                    f"Another executor named {self._node} runs on this machine (it holds {taken}). "
                    "Stop it, or give this one another name with VULCAN_NODE."
                )
            await asyncio.sleep(_PAUSE_S)

    def _try(self) -> Path | None:
        """None if everything is locked now, else what could not be."""
        self._run_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._tree.make()
        for path in (self._run_dir / LOCK, *self._tree.branches):
            lock = _lock(path)
            if lock is None:
                self.release()
                return path
            self._locks.append(lock)
        return None

    def release(self) -> None:
        """Own nothing any more."""
        for lock in self._locks:
            os.close(lock)
        self._locks.clear()


@contextmanager
def nobodys(paths: list[Path]) -> Iterator[bool]:
    """Holds the locks of these paths meanwhile; gives False, and holds none, if one has a living owner."""
    with contextlib.ExitStack() as held:
        for path in paths:
            try:
                lock = _lock(path)
            except OSError:  # gone, or another user's
                lock = None
            if lock is None:
                held.close()
                yield False
                return
            held.callback(os.close, lock)
        yield True


def _lock(path: Path) -> int | None:
    """A descriptor that holds the lock of this file, which is made, or folder; None if another does, or it vanished."""
    flags = os.O_RDONLY | os.O_CLOEXEC | (0 if path.is_dir() or path.name != LOCK else os.O_CREAT | os.O_NOFOLLOW)
    try:
        lock = os.open(path, flags, 0o600)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(lock).st_ino == path.stat().st_ino:
            return lock
    except (BlockingIOError, FileNotFoundError):
        pass
    except BaseException:
        os.close(lock)
        raise
    os.close(lock)
    return None
