"""Carrying out what is due besides releases: workloads given up or lost, and what stands in the nodes' queues."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final, assert_never

from vulcan_chassis import logs, tracing
from vulcan_contracts import commands
from vulcan_contracts.dispatch import Assignment
from vulcan_contracts.errors import CorruptLog, DomainError
from vulcan_contracts.reasons import Reason
from vulcan_eventstore.dispatch import Dispatcher
from vulcan_eventstore.errors import EventStoreError
from vulcan_eventstore.workload_log import EventLog, Tracked
from vulcan_scheduler.desk import Desk
from vulcan_scheduler.domain.orders import Chore, Expire, Lose, Offer, Withdraw
from vulcan_scheduler.log.releases import ACTOR
from vulcan_scheduler.metrics import Metrics

_PAUSE_S: Final = 1.0

Seal = Callable[[str, str, int, str], Awaitable[int]]
"""Appends a last `system` line (tenant, workload, attempt, text), so that nobody else can write on; its number."""


class Chores:
    """Carries out chores, so many at a time; what fails is told to the plan, which orders it again."""

    def __init__(
        self,
        log: EventLog,
        dispatcher: Dispatcher,
        seal: Seal,
        desk: Desk,
        metrics: Metrics,
        *,
        append_timeout_s: float,
        at_once: int,
    ) -> None:
        self._workloads = log
        self._dispatcher = dispatcher
        self._seal = seal
        self._desk = desk
        self._metrics = metrics
        self._append_timeout_s = append_timeout_s
        self._room = asyncio.Semaphore(at_once)
        self._log = logs.get()

    async def carry_out(self, chore: Chore) -> None:
        """Do it, and tell the plan what came of it."""
        match chore:
            case Withdraw():
                await self._withdraw(chore)
            case Offer():
                await self._offer(chore)
            case Expire() | Lose():
                await self._give_up(chore)
            case _:
                assert_never(chore)

    async def _give_up(self, chore: Expire | Lose) -> None:
        tracked: Tracked | None = None
        corrupt = False
        try:
            async with self._room:
                with (
                    logs.bind(workload_id=chore.workload_id),
                    tracing.span("give up", traceparent=chore.traceparent),
                ):
                    tracked = await (self._expire(chore) if isinstance(chore, Expire) else self._lose(chore))
        except CorruptLog as error:
            corrupt = True
            self._log.error("the workload's log is corrupt; it is let go", reason=str(error))
        except EventStoreError as error:
            self._log.warning("not known to be ended", workload_id=chore.workload_id, reason=str(error))
            await asyncio.sleep(_PAUSE_S)
        finally:
            plan, now = self._desk.plan, self._desk.now()
            if tracked is not None:
                plan.absorb(tracked.state, tracked.seq, now)
            elif corrupt:
                plan.forget(chore.workload_id, now)
            else:
                plan.failed(chore.workload_id, now)
            self._desk.ring()

    async def _expire(self, chore: Expire) -> Tracked | None:
        tracked = await self._execute(chore, commands.Expire(at=_moment(self._desk)))
        if tracked is not None and tracked.state.ended:
            self._metrics.endings.labels(Reason.QUEUE_EXPIRED).inc()
            self._log.info("gave up a workload that waited too long")
        return tracked

    async def _lose(self, chore: Lose) -> Tracked | None:
        tracked = await self._workloads.load(chore.tenant, chore.workload_id)
        if tracked is None:
            return None
        state = tracked.state
        if state.state != "running" or not state.held_by(chore.node, chore.incarnation):
            return tracked
        # The line goes first: once the attempt is over on the log, nothing may be written behind what it ended with.
        text = f"Node {chore.node} stopped answering; attempt {state.attempt} is over."
        last_line = await self._seal(chore.tenant, chore.workload_id, state.attempt, text)
        command = commands.LoseExecutor(
            node=chore.node,
            incarnation=chore.incarnation,
            attempt=state.attempt,
            at=_moment(self._desk),
            last_line=last_line,
        )
        tracked = await self._execute(chore, command, known=tracked)
        self._metrics.endings.labels(Reason.EXECUTOR_LOST).inc()
        self._log.warning("an attempt is lost with its node", node=chore.node, attempt=state.attempt)
        return tracked

    async def _execute(
        self, chore: Expire | Lose, command: commands.Command, known: Tracked | None = None
    ) -> Tracked | None:
        try:
            executed = await self._workloads.execute(
                chore.tenant, chore.workload_id, command, actor=ACTOR, known=known, deadline_s=self._append_timeout_s
            )
        except DomainError:
            return await self._workloads.load(chore.tenant, chore.workload_id)
        return executed.tracked

    async def _offer(self, chore: Offer) -> None:
        try:
            async with self._room:
                tracked: Tracked | None = None
                if chore.state is not None:
                    tracked = Tracked(chore.state, chore.seq)
                else:
                    tracked = await self._workloads.load(chore.tenant, chore.workload_id)
                if tracked is None or not tracked.state.held_by(chore.node, chore.incarnation):
                    return
                await self._dispatcher.offer(chore.node, Assignment(workload=tracked.state, seq=tracked.seq))
        except (CorruptLog, EventStoreError) as error:
            # As with a first offer: it is scheduled again when nobody has started it in time.
            self._log.warning("not known to be offered again", workload_id=chore.workload_id, reason=str(error))

    async def _withdraw(self, chore: Withdraw) -> None:
        try:
            async with self._room:
                if chore.node in self._desk.plan.registry.nodes:
                    return  # it is back, and what is in its queue now is for this life of it
                await self._dispatcher.withdraw(chore.node)
        except EventStoreError as error:
            # What stays in the queue grows too old there; whoever takes it before bounces off the log.
            self._log.warning("the queue of a lost node is not emptied", node=chore.node, reason=str(error))
        else:
            self._log.warning("a node is gone", node=chore.node)


def _moment(desk: Desk) -> datetime:
    return datetime.fromtimestamp(desk.now().wall, UTC)
