"""How far the projections are behind their streams."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import structlog

from vulcan_eventstore.errors import EventStoreError
from vulcan_logstore.metrics import Metrics
from vulcan_logstore.projection.projector import Projector


class LagMeter:
    """Compares the positions with the ends of the streams, every few seconds."""

    def __init__(self, projectors: Sequence[Projector[Any]], metrics: Metrics, *, interval_s: float) -> None:
        self._projectors = projectors
        self._metrics = metrics
        self._interval_s = interval_s
        self._caught_up_at = {each.name: time.monotonic() for each in projectors}
        self._log = structlog.get_logger()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                for each in self._projectors:
                    await self._measure(each)
            except EventStoreError as error:
                self._log.debug("lag not measured", reason=str(error))
            await asyncio.sleep(self._interval_s)

    async def _measure(self, projector: Projector[Any]) -> None:
        asked_at = time.monotonic()
        behind = max(0, await projector.last_seq() - projector.position)
        if behind == 0:
            self._caught_up_at[projector.name] = asked_at
        self._metrics.lag_messages.labels(projector.name).set(behind)
        waited_s = time.monotonic() - self._caught_up_at[projector.name] if behind else 0.0
        self._metrics.lag_seconds.labels(projector.name).set(waited_s)
