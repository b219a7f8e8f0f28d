"""One service over all its lives: started, watched, started again after a crash, stopped."""

import asyncio
import time
from typing import Final, Protocol

from vulcan_local.errors import LocalError, StartFailedError
from vulcan_local.policy import RestartPolicy, RestartState, after_crash
from vulcan_local.process import Process
from vulcan_local.service import Service

_PROBE_INTERVAL_S: Final = 0.03
_SLOW_PROBE_INTERVAL_S: Final = 0.25
_SLOW_AFTER_S: Final = 5.0
_RECOVERY_INTERVAL_S: Final = 0.5


class Reporter(Protocol):
    """Where it is told what happens."""

    def output(self, service: str, line: str, *, show: bool) -> None:
        """A service printed a line, which a person wants to see or not."""

    def note(self, service: str, text: str) -> None:
        """Something happened to a service."""

    def tail(self, service: str) -> str:
        """The last lines that a service printed."""

    def running(self, service: str, pid: int | None) -> None:
        """A service runs now under this process id, or (None) no longer."""


class Keeper:
    """Keeps one service running until told to stop."""

    def __init__(self, service: Service, reporter: Reporter, policy: RestartPolicy) -> None:
        self.service = service
        self._reporter = reporter
        self._policy = policy
        self._state = RestartState()
        self._process: Process | None = None
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._stop_asked = asyncio.Event()
        self._stuck = asyncio.Event()
        self.task = asyncio.create_task(self._keep(), name=f"keep {service.name}")

    async def wait_ready(self) -> None:
        """Wait for the first time that the service is ready.

        Raises:
            StartFailedError: it is not ready in time, or crashed too often.
        """
        try:
            await asyncio.wait_for(asyncio.shield(self._ready), self.service.ready_timeout_s)
        except TimeoutError:
            missing = await self.service.probe(self._process.pid if self._process else 0)
            raise self._failed(
                f"is not ready after {self.service.ready_timeout_s:g} s ({missing or 'it is only now'})"
            ) from None

    async def stop(self) -> None:
        """End the service in its own way, by force after its deadlines."""
        self._stop_asked.set()
        running = self._process is not None and not self._process.ended
        begun = time.monotonic()
        orderly = await self._process.stop(self.service.stop) if self._process is not None else True
        await asyncio.wait({self.task})
        self._ready.cancel()
        if running:
            took = f"{time.monotonic() - begun:.1f} s"
            self._reporter.note(self.service.name, f"stopped in {took}" if orderly else f"killed after {took}")

    def kill(self) -> None:
        """SIGKILL to it and its process group, now."""
        self._stop_asked.set()
        if self._process is not None and not self._process.ended:
            self._process.kill_group()

    async def _keep(self) -> None:
        while not self._stop_asked.is_set():
            ready_for_s, code, ended = await self._live()
            if self._stop_asked.is_set():
                return
            hopeless = code is not None and code in self.service.hopeless_exit_codes
            restart = after_crash(self._policy, self._state, ready_for_s=ready_for_s, hopeless=hopeless)
            self._state = restart.state
            if restart.delay_s is None:
                if not self._ready.done():
                    self._ready.set_exception(self._failed(f"{ended}{_times(restart.state.crashes)}"))
                return
            self._reporter.note(self.service.name, f"{ended}; starting it again in {restart.delay_s:g} s")
            await self._pause(restart.delay_s)

    async def _pause(self, delay_s: float) -> None:
        try:
            await asyncio.wait_for(self._stop_asked.wait(), delay_s)
        except TimeoutError:
            return

    async def _live(self) -> tuple[float | None, int | None, str]:
        """One life of the process: for how long it was ready (None: never), its exit code, and the end in words."""
        name = self.service.name
        try:
            self._stuck.clear()
            await self.service.before_start()
            process = await Process.start(self.service, self._printed)
        except (OSError, LocalError) as error:
            return None, None, f"cannot start: {error}"
        self._process = process
        self._reporter.running(name, process.pid)
        if self._stop_asked.is_set():  # asked while it was being started, when there was no process to stop
            await process.stop(self.service.stop)
        ready = asyncio.create_task(self._until_ready(process.pid), name=f"readiness of {name}")
        cure = asyncio.create_task(self._cure(process), name=f"cure of {name}")
        try:
            code = await process.wait()
        finally:
            ready.cancel()
            cure.cancel()
            self._reporter.running(name, None)
        ready_at = ready.result() if ready.done() and not ready.cancelled() else None
        ended = f"ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        return None if ready_at is None else time.monotonic() - ready_at, code, ended

    async def _cure(self, process: Process) -> None:
        """End a process that is stuck, once a new one would do better; until then it can at least be read from."""
        await self._stuck.wait()
        hindrance = self.service.hindrance()
        self._reporter.note(self.service.name, f"takes nothing new: {hindrance}" if hindrance else "takes nothing new")
        while hindrance is not None:
            await asyncio.sleep(_RECOVERY_INTERVAL_S)
            hindrance = self.service.hindrance()
        self._reporter.note(self.service.name, "can go on with a new start")
        await process.stop(self.service.stop)

    def _printed(self, line: str) -> None:
        if self.service.stuck(line):
            self._stuck.set()
        self._reporter.output(self.service.name, line, show=self.service.on_console(line))

    async def _until_ready(self, pid: int) -> float:
        begun = time.monotonic()
        while await self.service.probe(pid) is not None:
            slow = time.monotonic() - begun > _SLOW_AFTER_S
            await asyncio.sleep(_SLOW_PROBE_INTERVAL_S if slow else _PROBE_INTERVAL_S)
        now = time.monotonic()
        if not self._ready.done():
            self._ready.set_result(None)
        self._reporter.note(self.service.name, f"ready in {now - begun:.1f} s")
        return now

    def _failed(self, why: str) -> StartFailedError:
        return StartFailedError(f"{self.service.name} {why}", tail=self._reporter.tail(self.service.name))


def _times(crashes: int) -> str:
    return "" if crashes == 1 else f", {crashes} times in a row"
