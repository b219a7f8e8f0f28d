"""Reads the CPU time of what runs, and its memory where no control group holds it, and ends what is over its limit."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from vulcan_contracts.reasons import Reason

Stop = Callable[[Reason, str], None]


class Measured(Protocol):
    """A host, as far as it is measured."""

    def cpu_s(self) -> float:
        """CPU seconds since its start."""
        ...

    def memory_bytes(self) -> int:
        """Bytes in use."""
        ...


class Watched:
    """One run under watch. `memory_limit`: bytes, the runtime's share included; `memory_mb`: what the run asked for."""

    def __init__(
        self, host: Measured, *, cpu_limit_s: float, memory_limit: int | None, memory_mb: int, stop: Stop
    ) -> None:
        self.peak_bytes = 0
        self._host = host
        self._cpu_start = host.cpu_s()
        self._cpu_limit = cpu_limit_s
        self._memory_limit = memory_limit
        self._memory_mb = memory_mb
        self._stop = stop

    @property
    def cpu_s(self) -> float:
        """CPU seconds since the run began."""
        return max(0.0, self._host.cpu_s() - self._cpu_start)

    def look(self) -> None:
        """Read, and stop the run if it is over a limit."""
        if self.cpu_s > self._cpu_limit:
            self._stop(Reason.CPU_LIMIT, f"The run used more than its {self._cpu_limit:g} s of CPU time.")
            return
        if self._memory_limit is not None:
            used = self._host.memory_bytes()
            self.peak_bytes = max(self.peak_bytes, used)
            if used > self._memory_limit:
                self._stop(Reason.OUT_OF_MEMORY, f"The run needed more than its {self._memory_mb} MiB of memory.")


class Watch:
    """All runs under watch; `run` is its loop."""

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._watched: set[Watched] = set()
        self._any = asyncio.Event()

    def add(self, watched: Watched) -> None:
        """Begin to watch."""
        self._watched.add(watched)
        self._any.set()

    def discard(self, watched: Watched) -> None:
        """Watch no more."""
        self._watched.discard(watched)
        if not self._watched:
            self._any.clear()

    async def run(self) -> None:
        """Look at everything, again and again, while there is anything."""
        while True:
            await self._any.wait()
            for watched in list(self._watched):
                watched.look()
            await asyncio.sleep(self._interval_s)
