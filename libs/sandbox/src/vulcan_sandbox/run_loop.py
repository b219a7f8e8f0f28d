"""The executor's core, the same for every backend: takes on what there is room for and sees each run to its end."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

from vulcan_chassis import logs
from vulcan_contracts.clock import utc_now
from vulcan_contracts.nodes import BackendReport, Heartbeat, NodeState
from vulcan_contracts.outcome import Outcome
from vulcan_contracts.reasons import Reason
from vulcan_contracts.workload import Workload
from vulcan_eventstore.errors import BusClosedError, EventStoreUnavailableError
from vulcan_eventstore.workload_log import EventLog, Tracked
from vulcan_sandbox.attempt import Attempt, NodeIdentity
from vulcan_sandbox.claims import Claim, Claims, release
from vulcan_sandbox.ending import Cut
from vulcan_sandbox.host import Host
from vulcan_sandbox.room import Place, Room, demand
from vulcan_sandbox.run import Run

_PAUSE_S: Final = 0.5


class Executor:
    """One life of one node. `open`, then `run` until `stop`."""

    def __init__(self, host: Host, *, me: NodeIdentity, claims: Claims, log: EventLog, version: str) -> None:
        self._host = host
        self._settings = host.settings
        self._backend = host.backend
        self._me = me
        self._claims = claims
        self._log = log
        self._version = version
        self._changed = asyncio.Event()
        self._room = Room(lambda: self._backend.capacity, self._changed.set)
        host.metrics.room(lambda: self._room.used, lambda: self._backend.capacity)
        self._runs: dict[tuple[str, int], Run] = {}
        self._serving: dict[asyncio.Task[None], Place] = {}
        self._look_now = asyncio.Event()
        self._stop_wanted = asyncio.Event()
        self._ended = asyncio.Event()
        self._state: NodeState = "ready"
        self._group: asyncio.TaskGroup | None = None
        self.report = BackendReport(isolation=host.backend.isolation, available=False, unavailable_reason="not probed")

    async def open(self) -> None:
        """Clear away what an earlier life left, and find out what works here."""
        await self._backend.recover()
        await self._probe()

    async def run(self) -> None:
        """Take work and run it, until `stop`.

        Raises:
            ExceptionGroup: a run met what no run can go on from; this incarnation has to end.
        """
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                helpers = [
                    group.create_task(self._pull(group), name="pull claims"),
                    group.create_task(self._look_after_runs(), name="look after runs"),
                    group.create_task(self._probe_until_available(), name="probe"),
                ]
                await self._stop_wanted.wait()
                self._group = None
                for helper in helpers:
                    helper.cancel()
                for task, place in self._serving.items():
                    if not place.turn.done():
                        task.cancel()
        finally:
            self._ended.set()

    async def stop(self) -> None:
        """Take nothing more, let runs end, then end them: they were this node's and are lost with it, so that their
        retry policy applies. `run` returns."""
        self._state = "draining"
        self._stop_wanted.set()
        if await self._all_ended(self._settings.drain_s):
            return
        self._state = "stopping"
        message = f"Node {self._me.node} was stopped while it ran the attempt."
        for run in list(self._runs.values()):
            run.interrupt(Cut(Reason.EXECUTOR_LOST, message))
        if not await self._all_ended(self._settings.stop_kill_s):
            logs.get().error("runs did not end in time", runs=len(self._serving))

    async def ended(self) -> None:
        """Wait until `run` has returned or failed."""
        await self._ended.wait()

    def heartbeat(self, state: NodeState | None = None) -> Heartbeat:
        """The sign of life to send now."""
        return Heartbeat(
            node=self._me.node,
            incarnation=self._me.incarnation,
            state=state or self._state,
            time=utc_now(),
            version=self._version,
            backend=self.report,
            capacity=self._backend.capacity,
            used=self._room.used,
            interval_s=self._settings.heartbeat_interval_s,
        )

    def kill(self, workload_id: str) -> None:
        """Somebody asked for this workload to be killed. Harmless if it is not here."""
        for (running_id, _), run in list(self._runs.items()):
            if running_id == workload_id:
                run.interrupt(Cut(Reason.KILLED_BY_USER, "Killed on request."))

    def foresee(self, workload: Workload) -> None:
        """The scheduler is about to give us this attempt: begin it, where there is room at once.

        Nothing can be seen of it before the assignment itself has come and `started` is on the log.
        """
        if self._group is None or self._state != "ready" or not self._settings.start_early:
            return
        attempt = self._attempt(workload)
        if not attempt.ours or attempt.key in self._runs:
            return
        place = self._room.ask(demand(workload.spec.resources))
        if not place.turn.done():
            place.give_back()
            return
        self._spawn(self._execute(self._new_run(attempt), place), place, self._group)

    def look_now(self) -> None:
        """Compare the runs with the log soon: word from it may have been missed."""
        self._look_now.set()

    async def _all_ended(self, timeout_s: float) -> bool:
        try:
            async with asyncio.timeout(timeout_s):
                await self._ended.wait()
        except TimeoutError:
            return False
        return True

    async def _probe(self) -> None:
        self.report = await self._backend.probe()
        if not self.report.available:
            logs.get().warning("backend does not work here", why=self.report.unavailable_reason, hint=self.report.hint)
        self._changed.set()

    async def _probe_until_available(self) -> None:
        while not self.report.available:
            await asyncio.sleep(self._settings.probe_interval_s)
            await self._probe()

    async def _pull(self, group: asyncio.TaskGroup) -> None:
        while True:
            # What was begun on a hint has its room already, and waits for its claim.
            unclaimed = sum(run.unclaimed for run in self._runs.values())
            room = self._room.free_slots + unclaimed if self.report.available else 0
            if room == 0:
                self._changed.clear()
                await self._changed.wait()
                continue
            try:
                claims = await self._claims.take(room, self._settings.claim_wait_s)
            except BusClosedError:
                raise
            except EventStoreUnavailableError as error:
                logs.get().warning("cannot take work", error=str(error))
                await asyncio.sleep(_PAUSE_S)
                continue
            for claim in claims:
                self._accept(claim, group)

    def _accept(self, claim: Claim, group: asyncio.TaskGroup) -> None:
        attempt = self._attempt(claim.assignment.workload)
        if self._goes_to_what_was_begun(claim, attempt):
            return
        # In line for room before the next pull counts what is free.
        place = self._room.ask(demand(attempt.workload.spec.resources))
        self._spawn(self._serve(claim, attempt, place), place, group)

    def _goes_to_what_was_begun(self, claim: Claim, attempt: Attempt) -> bool:
        begun = self._runs.get(attempt.key)
        return begun is not None and attempt.ours and begun.assign(claim)

    def _spawn(self, serving: Coroutine[Any, Any, None], place: Place, group: asyncio.TaskGroup) -> None:
        task = group.create_task(serving)
        self._serving[task] = place
        task.add_done_callback(self._served)

    def _served(self, task: asyncio.Task[None]) -> None:
        self._serving.pop(task).give_back()

    def _attempt(self, workload: Workload) -> Attempt:
        return Attempt(
            workload,
            log=self._log,
            me=self._me,
            command_deadline_s=self._settings.command_deadline_s,
            give_up_after_s=self._settings.end_deadline_s,
        )

    async def _serve(self, claim: Claim, attempt: Attempt, place: Place) -> None:
        while (before := self._runs.get(attempt.key)) is not None and before.in_vain:
            await before.over.wait()
            if self._state != "ready":
                return
        if self._goes_to_what_was_begun(claim, attempt):
            return  # on a hint that came late
        if not attempt.ours or before is not None:
            # For a life before this one, which the scheduler knows to be over; or delivered again while we have it.
            self._host.metrics.dropped("claimed")
            await release(claim)
            return
        if not self._room.could_ever_hold(place.part):
            attempt.assigned(Tracked(claim.assignment.workload, claim.assignment.seq))
            await self._refuse(attempt, self._too_big(place))
            await release(claim)
            return
        run = self._new_run(attempt)
        run.assign(claim)
        await self._execute(run, place)

    def _new_run(self, attempt: Attempt) -> Run:
        run = self._runs[attempt.key] = Run(attempt, self._host)
        return run

    async def _execute(self, run: Run, place: Place) -> None:
        try:
            await place.granted()
            await run.execute()
        finally:
            if self._runs.get(run.attempt.key) is run:
                del self._runs[run.attempt.key]

    async def _refuse(self, attempt: Attempt, message: str) -> None:
        before = attempt.workload.outcome
        outcome = Outcome(
            reason=Reason.BACKEND_ERROR, message=message, last_line=0 if before is None else before.last_line
        )
        if await attempt.start(None) and await attempt.end(outcome):
            self._host.metrics.ended(outcome.reason, outcome.clock)

    def _too_big(self, place: Place) -> str:
        has, asks = self._backend.capacity, place.part
        return (
            f"Node {self._me.node} can never hold it: it asks for {asks.cpus:g} cores and {asks.memory_mb} MiB, "
            f"the node has {has.cpus:g} and {has.memory_mb}."
        )

    async def _look_after_runs(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self._settings.recheck_interval_s):
                    await self._look_now.wait()
            except TimeoutError:
                pass
            self._look_now.clear()
            for run in [run for run in self._runs.values() if run.started]:
                await self._look_after(run)

    async def _look_after(self, run: Run) -> None:
        try:
            standing = await run.attempt.standing()
        except BusClosedError:
            raise
        except EventStoreUnavailableError:
            return
        if standing == "to_be_killed":
            self.kill(run.attempt.workload.id)
        elif standing == "gone":
            run.drop()
