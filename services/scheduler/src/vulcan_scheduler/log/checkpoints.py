"""Keeping checkpoints of the plan in the object store, so that a start folds the last minutes and not the whole log.

A checkpoint is a saving, never a source: one that is missing, broken or of another release is passed over, and the log
is folded from its first event.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from vulcan_chassis import logs
from vulcan_eventstore.blobs import Blobs
from vulcan_eventstore.errors import BlobNotFoundError, EventStoreError
from vulcan_scheduler.desk import Desk
from vulcan_scheduler.domain.checkpoint import CheckpointError, Reader, frames
from vulcan_scheduler.metrics import Metrics

NAME: Final = "scheduler"


class Checkpoints:
    """Loads and saves the one checkpoint that all schedulers share."""

    def __init__(self, blobs: Blobs, desk: Desk, metrics: Metrics, *, timeout_s: float, min_events: int) -> None:
        self._blobs = blobs
        self._desk = desk
        self._metrics = metrics
        self._timeout_s = timeout_s
        self._min_events = min_events
        self._saved_seq = 0
        self._log = logs.get()

    async def load(self) -> Reader | None:
        """The newest checkpoint; None if there is none that can be used."""
        reader = Reader()
        try:
            async with asyncio.timeout(self._timeout_s):
                async for piece in self._blobs.open(NAME):
                    reader.feed(piece)
            reader.finish()
        except BlobNotFoundError:
            return None
        except (CheckpointError, EventStoreError, TimeoutError) as error:
            self._log.warning("no usable checkpoint; folding the whole log", reason=str(error) or "too slow")
            return None
        self._saved_seq = reader.seq
        return reader

    async def save(self) -> None:
        """Save the plan as it is now, if enough has happened since the last time; a failure is logged and no more."""
        seq = self._desk.plan.seq
        if seq - self._saved_seq < self._min_events:
            return
        try:
            async with asyncio.timeout(self._timeout_s):
                info = await self._blobs.put(NAME, self._pieces(seq))
        except (EventStoreError, TimeoutError) as error:
            self._log.warning("checkpoint not saved", seq=seq, reason=str(error) or "too slow")
            return
        self._saved_seq = seq
        self._metrics.checkpoint_seq.set(seq)
        self._log.info("checkpoint saved", seq=seq, size_bytes=info.size_bytes)

    async def keep(self, interval_s: float) -> None:
        """Save every so often, until cancelled."""
        while True:
            await asyncio.sleep(interval_s)
            await self.save()

    async def save_last(self) -> None:
        """Save once more at the stop, if this was the scheduler that decided."""
        if self._desk.led:
            await self.save()

    async def _pieces(self, seq: int) -> AsyncIterator[bytes]:
        for piece in frames(seq, list(self._desk.plan.jobs.values())):
            yield piece
            await asyncio.sleep(0)  # encoding a long queue must not hold up decisions
