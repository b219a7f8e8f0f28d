"""Ends processes as planned, with SIGKILL, and remembers when."""

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from chaos import processes
from chaos.plan import DENO, EXECUTOR, Kill
from support.stack import Stack

BACK_S: Final = 60.0
"""How long a service may take to be there again; the supervisor waits at most 15 s between two starts."""
_BUSY_S: Final = 2.0
_OFTEN_BUSY: Final = 0.75
_POLL_S: Final = 0.05


class NotBackError(Exception):
    """A service that was killed before has not come back."""


@dataclass(kw_only=True)
class Killed:
    """What was killed, and when, on the monotonic clock."""

    kind: str
    pid: int
    at: float
    busy: bool | None = None


class Killer:
    """Carries out a plan on a stack."""

    def __init__(self, stack: Stack, plan: Sequence[Kill], *, done: Callable[[Killed], None]) -> None:
        self._stack = stack
        self._plan = plan
        self._done = done
        self.kills: list[Killed] = []

    @property
    def by_kind(self) -> Counter[str]:
        """How many of each kind."""
        return Counter(killed.kind for killed in self.kills)

    async def run(self) -> None:
        """All of it.

        Raises:
            NotBackError: a victim is not there.
        """
        for kill in self._plan:
            await asyncio.sleep(kill.gap_s)
            killed = await (self._kill_host(kill.pick) if kill.kind == DENO else self._kill_service(kill.kind))
            self.kills.append(killed)
            self._done(killed)

    async def _kill_service(self, name: str) -> Killed:
        deadline = time.monotonic() + BACK_S
        while time.monotonic() < deadline:
            pid = self._pid(name)
            if pid is not None and _end(pid):
                return Killed(kind=name, pid=pid, at=time.monotonic())
            await asyncio.sleep(_POLL_S)
        raise NotBackError(f"{name} is not back {BACK_S:g} s after it was killed:\n{self._stack.output()[-3000:]}")

    async def _kill_host(self, pick: float) -> Killed:
        """One of those that run something, mostly; else one that waits."""
        begun = time.monotonic()
        while time.monotonic() < begun + BACK_S:
            executor = self._pid(EXECUTOR)
            found = processes.hosts(executor) if executor is not None else []
            busy = [host for host in found if host.busy]
            patient = pick < _OFTEN_BUSY and time.monotonic() < begun + _BUSY_S
            if candidates := busy if pick < _OFTEN_BUSY and (busy or patient) else found:
                host = candidates[min(int(pick * len(candidates)), len(candidates) - 1)]
                if _end(host.pid):
                    return Killed(kind=DENO, pid=host.pid, at=time.monotonic(), busy=host.busy)
            await asyncio.sleep(_POLL_S)
        raise NotBackError(f"there is no Deno host for {BACK_S:g} s:\n{self._stack.output()[-3000:]}")

    def _pid(self, name: str) -> int | None:
        return self._stack.pids().get(name)


def _end(pid: int) -> bool:
    """SIGKILL; False if it had ended before."""
    now = processes.everybody().get(pid)
    if now is None or now.state == "Z":
        return False
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True
