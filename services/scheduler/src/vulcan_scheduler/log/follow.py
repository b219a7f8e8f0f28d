"""The scheduler's view of the log: a checkpoint, and every event behind it, for as long as the process lives.

A standby follows just as the active one does, so that a takeover needs no more than the last few events.
"""

import asyncio
from contextlib import aclosing
from typing import Final

import msgspec

from vulcan_chassis import logs
from vulcan_contracts.errors import CorruptLog
from vulcan_contracts.events import Recorded
from vulcan_eventstore.connection import Bus
from vulcan_eventstore.errors import PositionLostError
from vulcan_eventstore.follower import follow_events, last_event_seq
from vulcan_scheduler.desk import Desk
from vulcan_scheduler.log.checkpoints import Checkpoints
from vulcan_scheduler.metrics import Metrics

_NO_PROGRESS_S: Final = 5.0


class Follower:
    """Folds the log into the plan."""

    def __init__(self, bus: Bus, desk: Desk, checkpoints: Checkpoints, metrics: Metrics) -> None:
        self._bus = bus
        self._desk = desk
        self._checkpoints = checkpoints
        self._metrics = metrics
        self._moved = asyncio.Event()
        self._log = logs.get()
        self.started = False

    async def run(self) -> None:
        """Load the newest checkpoint that holds, then follow for ever."""
        after = await self._restore()
        self.started = True
        try:
            async with aclosing(follow_events(self._bus, after_seq=after)) as batches:
                async for batch in batches:
                    self._fold(batch)
        except PositionLostError:
            # A log that shrinks is another log, which only a new process can follow from its start.
            self._log.error("the log ends before the position of this scheduler", position=self._desk.plan.seq)
            raise

    async def catch_up(self) -> None:
        """Return once everything is folded that was on the log at the call.

        Raises:
            EventStoreUnavailableError: NATS does not answer.
        """
        target = await last_event_seq(self._bus)
        seen = -1
        while not self.started or self._desk.plan.seq < target:
            self._moved.clear()
            try:
                async with asyncio.timeout(_NO_PROGRESS_S):
                    await self._moved.wait()
            except TimeoutError:
                if self.started and self._desk.plan.seq == seen:
                    # What cannot be decoded is skipped, and may be the last: it is no reason to stand still.
                    self._log.warning("the log's end is not reached", seq=seen, end=target)
                    return
                seen = self._desk.plan.seq

    async def _restore(self) -> int:
        checkpoint = await self._checkpoints.load()
        if checkpoint is None:
            return 0
        end = await last_event_seq(self._bus)
        if checkpoint.seq > end:
            self._log.warning("the checkpoint is of another log", seq=checkpoint.seq, end=end)
            return 0
        self._desk.plan.restore(checkpoint.jobs, checkpoint.seq, self._desk.now())
        self._log.info("checkpoint restored", seq=checkpoint.seq, jobs=len(checkpoint.jobs))
        return checkpoint.seq

    def _fold(self, batch: list[Recorded]) -> None:
        plan, now = self._desk.plan, self._desk.now()
        for recorded in batch:
            try:
                plan.apply(recorded, now)
            except (CorruptLog, msgspec.DecodeError) as error:
                self._metrics.unreadable_events.inc()
                self._log.error(
                    "an event cannot be folded; the workload is let go",
                    workload_id=recorded.envelope.workload_id,
                    seq=recorded.seq,
                    reason=str(error),
                )
                plan.forget(recorded.envelope.workload_id, now)
        self._metrics.events.inc(len(batch))
        self._metrics.lag.set(max(0.0, now.wall - batch[-1].envelope.time.timestamp()))
        self._moved.set()
        self._desk.ring()
