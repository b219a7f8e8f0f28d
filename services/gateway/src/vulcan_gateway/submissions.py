"""From a valid spec to a workload on the log, and on to its end for a caller that waits."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from vulcan_chassis import logs
from vulcan_contracts.commands import Submit
from vulcan_contracts.events import Recorded
from vulcan_contracts.spec import Spec
from vulcan_contracts.workload import Workload, evolve
from vulcan_eventstore.errors import EventStoreUnavailableError
from vulcan_eventstore.workload_log import Executed, Tracked, WorkloadLog
from vulcan_gateway.domain import idempotency
from vulcan_gateway.domain.principal import Principal
from vulcan_gateway.domain.refusals import Refusal
from vulcan_gateway.live.cluster import Cluster
from vulcan_gateway.live.feed import Feed
from vulcan_gateway.live.heard import Heard, LiveEvent
from vulcan_gateway.live.hub import Hub


class Order(NamedTuple):
    """What is to run, for whom, and under which id."""

    principal: Principal
    spec: Spec
    workload_id: str
    idempotent: bool
    replay_of: str | None = None

    @classmethod
    def of(cls, principal: Principal, spec: Spec, key: str | None, replay_of: str | None = None) -> "Order":
        """An order under a fresh id, or the one that the Idempotency-Key names.

        Raises:
            Refusal: `invalid_idempotency_key`.
        """
        workload_id = idempotency.workload_id(principal.tenant, key)
        return cls(principal, spec, workload_id, key is not None, replay_of)


class Submissions:
    """Puts orders on the log."""

    def __init__(
        self, log: WorkloadLog, hub: Hub, cluster: Cluster, *, append_timeout_s: float, recheck_s: float
    ) -> None:
        self._log = log
        self._hub = hub
        self._cluster = cluster
        self._append_timeout_s = append_timeout_s
        self._recheck_s = recheck_s
        self._unanswered_at: float | None = None
        self._log_lines = logs.get().bind()  # bound once: it takes as long as writing a line

    def trouble(self) -> str | None:
        """What is wrong with accepting work, for readiness: the last submit went unanswered, and that just now.

        It expires after the time that a submit tries for: a gateway that is not ready may get none to find out by.
        """
        if self._unanswered_at is None or time.monotonic() - self._unanswered_at > self._append_timeout_s:
            return None
        return "takes no new work; does nats-server answer, and has its disk room?"

    async def submit(self, order: Order) -> Executed:
        """Append the order; a repeat finds the workload that the first one made.

        Raises:
            Refusal: no node can run it, or too many wait.
            IdempotencyMismatch: the key was used for something else.
            EventStoreUnavailableError: it is not known to be on the log; a repeat with the same key is safe.
        """
        try:
            await self._cluster.require_backend(order.spec)
            with self._cluster.reserve(order.principal.tenant) as place:
                executed = await self._append(order)
                if executed.event is not None:
                    place.accepted(executed.event.seq)
                    self._log_lines.info("accepted", workload_id=order.workload_id, tenant=order.principal.tenant)
                return executed
        except Refusal:
            # What was accepted before needs no room and no node: a repeat is answered whatever there is now.
            if not order.idempotent or await self._log.load(order.principal.tenant, order.workload_id) is None:
                raise
            return await self._append(order)

    async def is_new(self, order: Order) -> bool:
        """Whether the order was not accepted before: only then its archive is to be stored, which stays for ever.

        Raises:
            As `submit`, for what can be told beforehand.
        """
        if order.idempotent and await self._log.load(order.principal.tenant, order.workload_id) is not None:
            return False
        await self._cluster.require_backend(order.spec)
        with self._cluster.reserve(order.principal.tenant):
            return True

    async def _append(self, order: Order) -> Executed:
        command = Submit(
            spec=order.spec,
            fingerprint=idempotency.fingerprint(order.spec, order.replay_of),
            replay_of=order.replay_of,
        )
        try:
            executed = await self._log.execute(
                order.principal.tenant,
                order.workload_id,
                command,
                actor=order.principal.actor,
                deadline_s=self._append_timeout_s,
            )
        except EventStoreUnavailableError:
            self._unanswered_at = time.monotonic()
            raise
        self._unanswered_at = None
        return executed

    async def run(self, order: Order, wait_s: float, disconnected: Callable[[], Awaitable[None]]) -> Workload:
        """Submit and wait for the end, but not longer than `wait_s`, nor for a client that has left.

        Raises:
            As `submit`.
        """
        with self._hub.follow_workload(order.principal.tenant, order.workload_id) as feed:
            executed = await self.submit(order)
            if executed.tracked.state.ended or wait_s <= 0:
                return executed.tracked.state
            waiting = asyncio.ensure_future(self._end(executed.tracked, feed, time.monotonic() + wait_s))
            leaving = asyncio.ensure_future(disconnected())
            try:
                await asyncio.wait([waiting, leaving], return_when=asyncio.FIRST_COMPLETED)
                return waiting.result() if waiting.done() else executed.tracked.state
            finally:
                waiting.cancel()
                leaving.cancel()
                await asyncio.gather(waiting, leaving, return_exceptions=True)

    async def _end(self, tracked: Tracked, feed: Feed[Heard], deadline_s: float) -> Workload:
        """The workload at its end, or as it is at the deadline. What is heard live suffices, unless some was missed."""
        state = tracked.state
        while not state.ended and not feed.closed and (left_s := deadline_s - time.monotonic()) > 0:
            came = await feed.wait(min(left_s, self._recheck_s))
            heard = [each.recorded for each in feed.take().items if isinstance(each, LiveEvent)]
            state, complete = advance(state, heard)
            if came and complete and heard:
                continue
            try:
                now = await self._log.load(state.tenant, state.id)
            except EventStoreUnavailableError:
                continue  # asked again at the next turn; the run goes on meanwhile
            state = now.state if now is not None else state
        return state


def advance(state: Workload, events: list[Recorded]) -> tuple[Workload, bool]:
    """The state after those of `events` that follow on it, and whether none was missing in between."""
    for event in events:
        if event.envelope.version > state.version + 1:
            return state, False
        if event.envelope.version == state.version + 1:
            state = evolve(state, event.envelope, event.data)
    return state, True
