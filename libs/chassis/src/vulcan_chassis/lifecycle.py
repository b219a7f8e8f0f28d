"""What a running service owns: its tasks and what must be closed, stopped in the reverse order of their making.

Each step of the stop has a deadline. A task that ends with an exception ends the service. Nothing outlives it: what
does not stop in time is named in the log, and the process ends all the same.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, NamedTuple

from vulcan_chassis import logs
from vulcan_chassis.errors import StartError

StopCallback = Callable[[], Awaitable[None]]


class _Step(NamedTuple):
    name: str
    stop: StopCallback
    deadline_s: float


class Lifecycle:
    """Tasks and callbacks of one service, and the wish to stop."""

    def __init__(self, *, step_timeout_s: float = 5.0) -> None:
        self._step_timeout_s = step_timeout_s
        self._steps: list[_Step] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._stop_wanted = asyncio.Event()
        self._log = logs.get()
        self.crashed = False

    @property
    def stopping(self) -> bool:
        """True from the moment at which the stop was asked for."""
        return self._stop_wanted.is_set()

    async def wait_stopping(self) -> None:
        """Wait until the stop is asked for."""
        await self._stop_wanted.wait()

    def crash(self) -> None:
        """Ask for the stop because something failed: the process ends with a non-zero code."""
        self.crashed = True
        self.stop()

    def stop(self) -> None:
        """Ask for the stop; returns at once, a repeat is harmless."""
        self._stop_wanted.set()

    def task(self, work: Coroutine[Any, Any, None], *, name: str, deadline_s: float | None = None) -> None:
        """Run `work` until it returns or the service stops; then it is cancelled and has `deadline_s` to end.
        If it raises, the service ends as crashed."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

        async def cancel() -> None:
            task.cancel()
            await asyncio.wait([task])

        self.on_stop(cancel, name=name, deadline_s=deadline_s)

    def on_stop(self, callback: StopCallback, *, name: str, deadline_s: float | None = None) -> None:
        """Call `callback` at the stop, after everything that was added later has stopped."""
        self._steps.append(_Step(name, callback, self._step_timeout_s if deadline_s is None else deadline_s))

    async def close(self) -> bool:
        """Stop everything, last first. True if all of it stopped in time and without an error."""
        self.stop()
        clean = True
        while self._steps:
            step = self._steps.pop()
            clean = await self._run(step) and clean
        return clean and not self._tasks

    async def _run(self, step: _Step) -> bool:
        stopping = asyncio.ensure_future(step.stop())
        done, _ = await asyncio.wait([stopping], timeout=step.deadline_s)
        if not done:
            stopping.cancel()
            self._log.error("did not stop in time", step=step.name, deadline_s=step.deadline_s)
            return False
        if stopping.cancelled() or (error := stopping.exception()) is None:
            self._log.debug("stopped", step=step.name)
            return True
        self._log.error("failed to stop", step=step.name, exc_info=error)
        return False

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        shown = None if isinstance(error, StartError) else error
        self._log.error("task crashed, stopping", task=task.get_name(), reason=str(error), exc_info=shown)
        self.crash()
