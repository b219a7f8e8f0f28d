"""The code while it runs: its start, its wall clock, and its end, by itself or by force."""

import asyncio
import time

from vulcan_chassis import logs
from vulcan_contracts.reasons import Reason
from vulcan_contracts.spec import Spec
from vulcan_sandbox.ending import Cut
from vulcan_sandbox.interrupts import Interrupts, stop_task
from vulcan_sandbox.protocol import BackendFaultError, Exit, Sandbox
from vulcan_sandbox.run_log import RunLog
from vulcan_sandbox.settings import ExecutorSettings


class RunningCode:
    """Runs the code of one ready sandbox to its end."""

    def __init__(
        self, sandbox: Sandbox, spec: Spec, log: RunLog, interrupts: Interrupts, settings: ExecutorSettings
    ) -> None:
        self._sandbox = sandbox
        self._spec = spec
        self._log = log
        self._interrupts = interrupts
        self._settings = settings
        self.started_at = 0.0
        self.ended_at = 0.0
        """Of the monotonic clock."""

    async def run(self) -> Exit | None:
        """The exit; None if the sandbox had to be destroyed before anybody saw one.

        Raises:
            BackendFaultError: it could not start, or nobody can tell how it ended.
        """
        self.started_at = time.monotonic()
        try:
            await self._start()
            waiting = asyncio.create_task(self._sandbox.wait(), name="sandbox wait")
            try:
                if not await self._ends_by_itself(waiting):
                    await self._end(waiting)
            finally:
                await stop_task(waiting, self._settings.kill_slack_s)
            return None if waiting.cancelled() or not waiting.done() else waiting.result()
        finally:
            self.ended_at = time.monotonic()

    async def _start(self) -> None:
        limit_s = self._settings.start_timeout_s
        try:
            async with asyncio.timeout(limit_s):
                await self._sandbox.start(self._log)
        except TimeoutError as error:
            raise BackendFaultError(f"The code did not start within {limit_s:g} s.") from error

    async def _ends_by_itself(self, waiting: "asyncio.Task[Exit]") -> bool:
        """True once the code has ended; False if it must be ended, with `interrupts` knowing why."""
        limit_s = self._spec.timeout_s
        while True:
            left_s = self.started_at + limit_s + self._log.stalled_s - time.monotonic()
            if left_s <= 0:
                self._interrupts.end(Cut(Reason.TIMED_OUT, f"Ran longer than its limit of {limit_s:g} s."))
                return False
            await self._interrupts.wait_with(waiting, timeout_s=left_s)
            if waiting.done():
                self._interrupts.settle()
                return True
            if self._interrupts.raised:
                return False

    async def _end(self, waiting: "asyncio.Task[Exit]") -> None:
        grace_s = self._grace_s()
        if grace_s == 0:
            self._log.swallow()
        killing = asyncio.create_task(self._sandbox.kill(grace_s), name="sandbox kill")
        await asyncio.wait({waiting}, timeout=grace_s + self._settings.kill_slack_s)
        await stop_task(killing, self._settings.kill_slack_s)
        if killing.done() and not killing.cancelled() and (error := killing.exception()) is not None:
            logs.get().error("kill failed", exc_info=error)
        if waiting.done():
            return
        logs.get().error("sandbox does not die, destroying it", grace_s=grace_s)
        self._log.swallow()
        try:
            async with asyncio.timeout(self._settings.close_timeout_s):
                await self._sandbox.close()
        except TimeoutError:
            logs.get().error("sandbox cannot be destroyed", close_timeout_s=self._settings.close_timeout_s)
        waiting.cancel()  # what it would say now is about the destruction, not about the code

    def _grace_s(self) -> float:
        cut = self._interrupts.cut
        if self._interrupts.dropped or self._interrupts.fault is not None or cut is None:
            return 0.0
        if cut.reason is Reason.OUTPUT_LIMIT:
            return 0.0
        if cut.reason is Reason.EXECUTOR_LOST:
            return min(self._spec.grace_s, self._settings.stop_grace_s)
        return self._spec.grace_s
