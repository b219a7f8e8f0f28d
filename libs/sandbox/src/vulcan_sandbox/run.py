"""One attempt of one workload, from its claim to its end.

What holds, wherever this process is killed:
- before `started` is acknowledged, nothing of the user's code can be seen: it does not run, or it reaches no network
  and its output is held. The scheduler gives the attempt away again;
- after it, the attempt is this incarnation's alone. If the process dies, its heartbeats stop, the scheduler seals the
  log and ends the attempt; what this process still writes then bounces off the log;
- the end is appended only after the last line is acknowledged, and says how many there are;
- the sandbox is closed whatever happened; one without its executor is destroyed by the next one's `recover`.
"""

import asyncio
import time
from typing import Final

import msgspec

from vulcan_chassis import logs, tracing
from vulcan_contracts.outcome import Artifact, Outcome, RunClock, Usage
from vulcan_contracts.reasons import Reason
from vulcan_contracts.spec import ImageSource
from vulcan_eventstore.errors import BusClosedError, EventStoreError, EventStoreUnavailableError, LogFencedError
from vulcan_eventstore.workload_log import Tracked
from vulcan_sandbox import artifacts
from vulcan_sandbox.attempt import Attempt, AttemptGoneError, LostTouchError
from vulcan_sandbox.claims import Claim, release
from vulcan_sandbox.ending import Cut, Limits, judge
from vulcan_sandbox.host import Host
from vulcan_sandbox.interrupts import Interrupts, stop_task
from vulcan_sandbox.protocol import BackendFaultError, Exit, RunRefusedError, RunRequest, Sandbox
from vulcan_sandbox.run_log import RunLog
from vulcan_sandbox.running import RunningCode
from vulcan_sandbox.source import source_tree

_PAUSE_S: Final = 0.5
_CLOSE_ANYWAY_S: Final = 1.0


class Run:
    """One attempt while this executor has it. Made inside the event loop; `execute` once.

    It may be made on the scheduler's hint, before the attempt is given to us on the log: then `assign` it once it is,
    or it ends by itself, without a trace.
    """

    def __init__(self, attempt: Attempt, host: Host) -> None:
        self.attempt = attempt
        self.started = False
        self.over = asyncio.Event()
        """Nothing is left of it here."""
        self._host = host
        self._settings = host.settings
        self._workload = attempt.workload
        self._spec = attempt.workload.spec
        self._begun_at = time.monotonic()
        self._claim: asyncio.Future[Claim] = asyncio.get_running_loop().create_future()
        self._owned: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._interrupts = Interrupts()
        self._refused = False
        self._code: RunningCode | None = None
        self._log = RunLog(
            output_mb=self._spec.resources.output_mb,
            max_line_bytes=host.settings.max_line_bytes,
            stall_s=host.settings.stall_s,
            on_cut=self._interrupts.end,
            on_broken=self._log_broke,
        )

    def assign(self, claim: Claim) -> bool:
        """The assignment has come. False if it came before, when it was not waited for any more, or if it is for other
        work than the hint said: hints are not to be believed."""
        if self._claim.done():
            return False
        workload = claim.assignment.workload
        if (workload.spec, workload.tenant) != (self._spec, self._workload.tenant):
            self._claim.cancel()
            return False
        self.attempt.assigned(Tracked(workload, claim.assignment.seq))
        self._claim.set_result(claim)
        return True

    @property
    def unclaimed(self) -> bool:
        """True while its assignment has not come."""
        return not self._claim.done()

    @property
    def in_vain(self) -> bool:
        """True if nothing comes of it: its assignment did not come in time, or the log says that it is not ours."""
        return self._refused or self._claim.cancelled()

    def interrupt(self, cut: Cut) -> None:
        """End it, at whatever point it is; too late once its code has ended."""
        self._interrupts.end(cut)

    def drop(self) -> None:
        """End it without an event: the log says that it is not ours any more."""
        self._interrupts.drop()

    async def execute(self) -> None:
        """Do all of it. Returns when the sandbox is gone and the log has the end, or the attempt is another's.

        Raises:
            LostTouchError: the event log was away for too long.
        """
        attributes: dict[str, str | int] = {
            "vulcan.workload": self._workload.id,
            "vulcan.attempt": self._workload.attempt,
        }
        with (
            logs.bind(workload_id=self._workload.id, attempt=self._workload.attempt),
            tracing.span("attempt", traceparent=self._workload.traceparent, attributes=attributes),
        ):
            preparing = asyncio.create_task(self._prepare(), name=f"prepare {self._workload.id}")
            code = asyncio.create_task(self._run_code(preparing), name=f"code {self._workload.id}")
            try:
                if not await self._take(preparing):
                    self._refused = True
                    self._host.metrics.dropped("hinted" if self._claim.cancelled() else "claimed")
                    return
                outcome = await self._live(preparing, code)
                if outcome is None:
                    await self._stop(code)
                    logs.get().warning("attempt dropped, another has it")
                    self._host.metrics.dropped("running")
                    await self._destroy(preparing)
                    await self._hand_over()
                    return
                await self._end(outcome, preparing)
            finally:
                try:
                    await self._stop(code)
                    await self._destroy(preparing)
                finally:
                    try:
                        await self._log.abandon()
                    finally:
                        self.over.set()

    async def _prepare(self) -> Sandbox:
        limit_s = self._settings.prepare_timeout_s
        source = source_tree(self._spec, self._workload.tenant, self._host.blobs, self._settings)
        request = RunRequest(
            workload_id=self._workload.id,
            tenant=self._workload.tenant,
            attempt=self._workload.attempt,
            spec=self._spec,
            source=source,
        )
        with tracing.span("sandbox.prepare"):
            try:
                async with asyncio.timeout(limit_s):
                    return await self._host.backend.prepare(request, self._log.say)
            except TimeoutError as error:
                raise BackendFaultError(f"No sandbox was ready within {limit_s:g} s.") from error

    async def _take(self, preparing: "asyncio.Task[Sandbox]") -> bool:
        """Make the attempt ours, while the sandbox is being prepared."""
        claim = await self._claimed()
        if claim is None:
            return False
        if isinstance(self._spec.source, ImageSource):
            await self._interrupts.wait_with(preparing, timeout_s=self._settings.image_wait_s)
        if self._interrupts.from_outside:
            return False  # nothing has happened yet; the scheduler gives it to another node
        sandbox = _result(preparing)
        with tracing.span("attempt.start"):
            self.started = await self.attempt.start(None if sandbox is None else sandbox.image_digest)
        # From here on the event log says whose it is; the claim would only be delivered again.
        await release(claim)
        return self.started

    async def _claimed(self) -> Claim | None:
        if not self._claim.done():
            await asyncio.wait({self._claim}, timeout=self._settings.hint_patience_s)
        self._claim.cancel()
        return None if self._claim.cancelled() else self._claim.result()

    async def _run_code(self, preparing: "asyncio.Task[Sandbox]") -> Exit | None:
        """Run the code as soon as it may run; None if it was not run, or had to be destroyed with its sandbox."""
        await self._interrupts.wait_with(preparing)
        if not (self._settings.start_early and self._spec.network.egress == "none"):
            await self._interrupts.wait_with(self._owned)
        if self._interrupts.raised:
            return None
        self._code = RunningCode(preparing.result(), self._spec, self._log, self._interrupts, self._settings)
        with tracing.span("sandbox.run"):
            return await self._code.run()

    async def _stop(self, code: "asyncio.Task[Exit | None]") -> None:
        """End code of which nothing is wanted any more."""
        if not code.done():
            self._interrupts.drop()
            self._log.swallow()
            await self._end_code(code)
        if code.done() and not code.cancelled():
            code.exception()  # seen by whoever waited, or of no interest

    async def _end_code(self, code: "asyncio.Task[Exit | None]") -> None:
        await asyncio.wait({code}, timeout=self._settings.close_timeout_s)
        await stop_task(code, self._settings.close_timeout_s)

    async def _live(self, preparing: "asyncio.Task[Sandbox]", code: "asyncio.Task[Exit | None]") -> Outcome | None:
        """From `started` to everything but the end; None if the attempt was taken from us."""
        seen: Exit | None = None
        fault: Exception | None = None
        stored: list[Artifact] = []
        not_stored: Exception | None = None
        keeping_up = asyncio.create_task(self._log.keep_up(), name=f"log {self._workload.id}")
        try:
            try:
                await self._log.attach(await self._host.log_door.open(self._workload))
                self._owned.set_result(None)
                seen = await code
            except LogFencedError:
                return None
            except (LostTouchError, BusClosedError):
                raise
            except Exception as error:  # noqa: BLE001 - whatever a backend raises ends this run, not the executor
                fault = self._told(error)
            if not code.done():
                self._interrupts.fail(BackendFaultError("Its log could not be opened."))
                await self._end_code(code)
            if seen is not None and not self._interrupts.dropped:
                stored, not_stored = await self._keep_artifacts(preparing.result())
        finally:
            await stop_task(keeping_up, self._settings.close_timeout_s)
        last_line = None if self._interrupts.dropped else await self._close_log()
        if last_line is None or self._interrupts.dropped:
            return None
        return self._outcome(seen, fault or self._interrupts.fault, stored, not_stored, last_line)

    async def _keep_artifacts(self, sandbox: Sandbox) -> tuple[list[Artifact], Exception | None]:
        """What the run left behind; if it cannot be kept, why."""
        cut = self._interrupts.cut
        if not self._spec.artifacts or (cut is not None and cut.reason is Reason.EXECUTOR_LOST):
            return [], None
        try:
            return await artifacts.keep(sandbox, self.attempt, self._host.blobs, self._settings), None
        except AttemptGoneError:
            self._interrupts.drop()
        except BusClosedError:
            raise
        except Exception as error:  # noqa: BLE001 - as in `_live`
            return [], self._told(error)
        return [], None

    async def _close_log(self) -> int | None:
        """The number of the workload's last line; None if the log is another's."""
        try:
            if self._log.attached:
                return await self._log.finish()
        except LogFencedError:
            return None
        except BusClosedError:
            raise
        except EventStoreUnavailableError as error:
            self._log_broke(error)
        # What reached the log is the log: the scheduler's seal too, but then our end is refused or is the only one.
        return await self._stored_last_line()

    async def _stored_last_line(self) -> int:
        give_up = time.monotonic() + self._settings.end_deadline_s
        while True:
            try:
                return await self._host.log_door.last_line(self._workload)
            except BusClosedError:
                raise
            except EventStoreUnavailableError as error:
                if time.monotonic() > give_up:
                    raise LostTouchError("the log was away for too long") from error
                await asyncio.sleep(_PAUSE_S)

    async def _hand_over(self) -> None:
        """See to it that an attempt whose log was taken from us ends.

        Whoever took it says so on the event log next, but may have died before it could; and this node is alive, so
        nobody would miss the run.
        """
        patience = time.monotonic() + self._settings.recheck_interval_s
        while time.monotonic() < patience:
            try:
                if await self.attempt.standing() == "gone":
                    return
            except BusClosedError:
                raise
            except EventStoreUnavailableError as error:
                logs.get().debug("nobody says whose the attempt is", error=str(error))
            await asyncio.sleep(_PAUSE_S)
        logs.get().warning("nobody has ended the attempt")
        await self.attempt.lose(await self._stored_last_line())

    def _log_broke(self, error: EventStoreError) -> None:
        if isinstance(error, LogFencedError):
            self._interrupts.drop()
        else:
            logs.get().error("log lines lost", error=str(error))
            self._interrupts.fail(BackendFaultError("Its output could not be stored: the log was away."))

    def _told(self, error: Exception) -> Exception:
        if isinstance(error, RunRefusedError):
            logs.get().info("run refused", reason=error.reason, why=str(error))
        elif isinstance(error, BackendFaultError):
            logs.get().error("backend fault", error=str(error), cause=repr(error.__cause__))
        else:
            logs.get().error("unexpected error in a run", exc_info=error)
        return error

    def _outcome(
        self,
        seen: Exit | None,
        fault: Exception | None,
        stored: list[Artifact],
        not_stored: Exception | None,
        last_line: int,
    ) -> Outcome:
        limits = Limits(result_bytes=self._settings.max_result_bytes, message_bytes=self._settings.max_message_bytes)
        verdict = judge(seen=seen, cut=self._interrupts.cut, fault=fault, limits=limits)
        if verdict.reason is None and not_stored is not None:
            verdict = judge(seen=seen, cut=None, fault=not_stored, limits=limits)
        clock = self._clock()
        usage = seen.usage if seen is not None else Usage()
        return Outcome(
            reason=verdict.reason,
            message=verdict.message,
            exit_code=verdict.exit_code,
            signal=verdict.signal,
            result=verdict.result,
            artifacts=stored,
            usage=msgspec.structs.replace(
                usage, wall_ms=usage.wall_ms or clock.run_ms, output_bytes=self._log.output_bytes
            ),
            clock=clock,
            last_line=last_line,
        )

    def _clock(self) -> RunClock:
        if self._code is None:
            return RunClock(prepare_ms=_ms(time.monotonic() - self._begun_at))
        first = self._log.first_output_at
        return RunClock(
            prepare_ms=_ms(self._code.started_at - self._begun_at),
            first_output_ms=None if first is None else _ms(first - self._code.started_at),
            run_ms=_ms(self._code.ended_at - self._code.started_at),
        )

    async def _end(self, outcome: Outcome, preparing: "asyncio.Task[Sandbox]") -> None:
        destroying: asyncio.Task[None] | None = None

        def destroy() -> None:
            nonlocal destroying
            destroying = asyncio.create_task(self._destroy(preparing), name=f"destroy {self._workload.id}")

        # The end first, for who waits for it; but an event log that is away must not keep a sandbox alive.
        timer = asyncio.get_running_loop().call_later(_CLOSE_ANYWAY_S, destroy)
        try:
            await self._append_end(outcome)
        finally:
            timer.cancel()
            if destroying is not None:
                await destroying

    async def _append_end(self, outcome: Outcome) -> None:
        with tracing.span("attempt.end", attributes={"vulcan.reason": outcome.reason or "none"}):
            appended = await self.attempt.end(outcome)
        if appended:
            self._host.metrics.ended(outcome.reason, outcome.clock)
        else:
            self._host.metrics.dropped("running")

    async def _destroy(self, preparing: "asyncio.Task[Sandbox]") -> None:
        if not await stop_task(preparing, self._settings.close_timeout_s):
            logs.get().error("preparing a sandbox does not stop")
            self._host.metrics.close_failed()
            return
        sandbox = _result(preparing)
        if sandbox is None:
            return
        try:
            async with asyncio.timeout(self._settings.close_timeout_s):
                await sandbox.close()
        except Exception:  # noqa: BLE001 - the run has ended all the same; the metric is what tells
            logs.get().exception("sandbox not destroyed")
            self._host.metrics.close_failed()


def _result(preparing: "asyncio.Task[Sandbox]") -> Sandbox | None:
    if not preparing.done() or preparing.cancelled() or preparing.exception() is not None:
        return None
    return preparing.result()


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
