"""Drops the log partitions whose day is over, and makes the next days' before a line needs them."""

import asyncio
from collections.abc import Callable
from datetime import date, timedelta

import structlog

from vulcan_contracts.clock import utc_now
from vulcan_logstore.db import log_lines
from vulcan_logstore.db.database import Database
from vulcan_logstore.db.errors import DatabaseAwayError
from vulcan_logstore.metrics import Metrics


class Retention:
    """Keeps the partitions of `log_lines` in step with the calendar."""

    def __init__(
        self,
        database: Database,
        metrics: Metrics,
        *,
        default_days: int,
        ahead: int,
        interval_s: float,
        today: Callable[[], date] = lambda: utc_now().date(),
    ) -> None:
        self._database = database
        self._metrics = metrics
        self._default_days = default_days
        self._ahead = ahead
        self._interval_s = interval_s
        self._today = today
        self._log = structlog.get_logger()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self.once()
            except DatabaseAwayError as error:
                self._log.info("partitions have to wait", reason=str(error))
            await asyncio.sleep(self._interval_s)

    async def once(self) -> None:
        """Drop what is over and make what comes.

        Raises:
            DatabaseAwayError: Postgres is away, or readers kept a partition too long.
        """
        today = self._today()
        first = today + timedelta(days=self._default_days)
        await log_lines.ensure_partitions(
            self._database, {first + timedelta(days=day) for day in range(self._ahead + 1)}
        )
        for day in await log_lines.drop_expired(self._database, today):
            self._log.info("log partition dropped", expires_on=day.isoformat())
            self._metrics.partitions_dropped.inc()
