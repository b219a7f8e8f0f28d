"""What the logstore does: migrate, then project, expire and rebuild until it is told to stop."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import structlog

from vulcan_contracts.projections import (
    RebuildAnswer,
    RebuildRequest,
    RebuildStatusRequest,
)
from vulcan_eventstore.backoff import Backoff
from vulcan_logstore.db.errors import DatabaseAwayError
from vulcan_logstore.projection.lag import LagMeter
from vulcan_logstore.projection.projector import Projector
from vulcan_logstore.projection.rebuild import Rebuilder
from vulcan_logstore.projection.retention import Retention


class Logstore:
    """All its loops, as one task; a loop that fails ends them all."""

    def __init__(
        self,
        *,
        migrate: Callable[[], Awaitable[object]],
        projectors: Sequence[Projector[Any]],
        retention: Retention,
        rebuilder: Rebuilder,
        lag: LagMeter,
        retry_first_s: float,
        retry_longest_s: float,
    ) -> None:
        self._migrate = migrate
        self.projectors = projectors
        self.retention = retention
        self.rebuilder = rebuilder
        self._lag = lag
        self._retry_first_s = retry_first_s
        self._retry_longest_s = retry_longest_s
        self._log = structlog.get_logger()
        self.trouble: str | None = "the database is not migrated yet"

    async def run(self) -> None:
        """Until cancelled.

        Raises:
            MigrationError: the database does not have the form that this release needs.
            BusClosedError: the connection to NATS is closed for good.
        """
        await self._migrate_patiently()
        async with asyncio.TaskGroup() as group:
            for projector in self.projectors:
                group.create_task(projector.run(), name=f"projector {projector.name}")
            group.create_task(self.retention.run(), name="retention")
            group.create_task(self.rebuilder.run(), name="rebuilder")
            group.create_task(self._lag.run(), name="lag")

    async def _migrate_patiently(self) -> None:
        pauses = Backoff(self._retry_first_s, self._retry_longest_s)
        while True:
            try:
                await self._migrate()
            except DatabaseAwayError as error:
                self._log.warning("waiting for Postgres", reason=str(error))
                self.trouble = f"Postgres is away: {error}"
                await pauses.pause()
            else:
                self.trouble = None
                return

    async def answer_rebuild(self, request: RebuildRequest) -> RebuildAnswer:
        """Take a request to rebuild."""
        try:
            return RebuildAnswer(status=await self.rebuilder.request(request.id))
        except DatabaseAwayError as error:
            return RebuildAnswer(error="unavailable", message=f"Postgres is away: {error}")

    async def answer_status(self, request: RebuildStatusRequest) -> RebuildAnswer:
        """Say how far a rebuild is."""
        try:
            status = await self.rebuilder.status(request.id)
        except DatabaseAwayError as error:
            return RebuildAnswer(error="unavailable", message=f"Postgres is away: {error}")
        if status is None:
            return RebuildAnswer(error="not_found", message="There is no such rebuild.")
        return RebuildAnswer(status=status)
