"""Carrying out a release: append that the workload is scheduled, then put it into the node's queue."""

import time

from vulcan_chassis import logs, tracing
from vulcan_contracts.commands import Schedule
from vulcan_contracts.dispatch import Assignment, foreseen
from vulcan_contracts.errors import CorruptLog, DomainError
from vulcan_eventstore.dispatch import Dispatcher
from vulcan_eventstore.errors import EventStoreError
from vulcan_eventstore.workload_log import EventLog, Tracked
from vulcan_scheduler.desk import Desk
from vulcan_scheduler.domain.orders import Release
from vulcan_scheduler.metrics import Metrics

ACTOR = "scheduler"


class Releaser:
    """One release at a time per call; any number of calls may be under way."""

    def __init__(
        self, log: EventLog, dispatcher: Dispatcher, desk: Desk, metrics: Metrics, *, append_timeout_s: float
    ) -> None:
        self._workloads = log
        self._dispatcher = dispatcher
        self._desk = desk
        self._metrics = metrics
        self._append_timeout_s = append_timeout_s
        self._log = logs.get()

    async def release(self, order: Release) -> bool:
        """Carry out the order and tell the plan what came of it; False if NATS does not answer."""
        started = time.perf_counter()
        attributes = {"workload.id": order.workload_id, "tenant": order.tenant, "node": order.node}
        with (
            logs.bind(workload_id=order.workload_id),
            tracing.span("schedule", traceparent=order.traceparent, attributes=attributes),
        ):
            scheduled = await self._append(order)
            if scheduled is None:
                return False
            if not scheduled.state.held_by(order.node, order.incarnation) or scheduled.state.state != "pending":
                self._metrics.released.labels("refused").inc()
                self._log.info("not scheduled", state=scheduled.state.state)
                return True
            self._metrics.queue_wait.labels(order.isolation).observe(order.waited_s)
            return await self._offer(order, scheduled, started)

    async def _append(self, order: Release) -> Tracked | None:
        """The workload as the log has it afterwards, scheduled or not; None if it is not known or gone."""
        command = Schedule(
            isolation=order.isolation,
            isolation_reason=order.reason,
            node=order.node,
            incarnation=order.incarnation,
        )
        tracked: Tracked | None = None
        settled = False
        try:
            await self._hint(order, command)
            known = None if order.state is None else Tracked(order.state, order.seq)
            try:
                executed = await self._workloads.execute(
                    order.tenant,
                    order.workload_id,
                    command,
                    actor=ACTOR,
                    known=known,
                    deadline_s=self._append_timeout_s,
                )
                tracked = executed.tracked
            except DomainError:
                tracked = await self._workloads.load(order.tenant, order.workload_id)
        except CorruptLog as error:
            self._log.error("the workload's log is corrupt; it is let go", reason=str(error))
            self._desk.plan.forget(order.workload_id, self._desk.now())
            settled = True
        except EventStoreError as error:
            self._metrics.released.labels("failed").inc()
            self._log.warning("not known to be scheduled", reason=str(error))
        finally:
            if tracked is not None:
                self._desk.plan.absorb(tracked.state, tracked.seq, self._desk.now())
            elif not settled:
                self._desk.plan.failed(order.workload_id, self._desk.now())
        return tracked

    async def _hint(self, order: Release, command: Schedule) -> None:
        """Let the node prepare while the event is on its way to the log."""
        workload = None if order.state is None else foreseen(order.state, command)
        if workload is not None:
            await self._dispatcher.hint(order.node, workload)

    async def _offer(self, order: Release, scheduled: Tracked, started: float) -> bool:
        try:
            await self._dispatcher.offer(order.node, Assignment(workload=scheduled.state, seq=scheduled.seq))
        except EventStoreError as error:
            # Nothing is lost: it is scheduled again when nobody has started it in time.
            self._metrics.released.labels("failed").inc()
            self._log.warning("not known to be dispatched", node=order.node, reason=str(error))
            return False
        self._metrics.released.labels("offered").inc()
        self._metrics.release_time.observe(time.perf_counter() - started)
        return True
