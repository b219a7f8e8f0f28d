"""Follows a stream and writes it into its table: exactly once, whatever is killed when.

The position moves in the transaction that writes the rows, under a row lock. What is at or below the position that the
lock finds was written by somebody else (another logstore, or this one in a transaction whose end it did not hear of)
and is left out. Where the position went back (Postgres lost its last transactions in a crash, a rebuild took the
table's place), the stream is followed from there again.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import aclosing
from typing import Generic

import structlog

from vulcan_eventstore.backoff import Backoff
from vulcan_eventstore.errors import PositionLostError
from vulcan_logstore.db import positions
from vulcan_logstore.db.database import Database
from vulcan_logstore.db.errors import DatabaseAwayError, RefusedDataError, SchemaMissingError
from vulcan_logstore.metrics import Metrics
from vulcan_logstore.projection.source import NotPreparedError, Projection, T
from vulcan_logstore.settings import ProjectionSettings


class _PositionMovedBackError(Exception):
    """The table is behind what this projector had read as committed."""


class Projector(Generic[T]):
    """One projection, kept going. `position` is how far the table is known to be; `trouble` why it does not go on."""

    def __init__(
        self, projection: Projection[T], database: Database, settings: ProjectionSettings, metrics: Metrics
    ) -> None:
        self._projection = projection
        self._database = database
        self._settings = settings
        self._metrics = metrics
        self._log = structlog.get_logger().bind(projection=projection.name)
        self.name = projection.name
        self._moved = asyncio.Event()
        self.position = 0
        self.trouble: str | None = "not started"

    async def last_seq(self) -> int:
        """The newest message that the stream still holds.

        Raises:
            EventStoreUnavailableError: NATS does not answer.
        """
        return await self._projection.last_seq()

    async def reached(self, seq: int) -> None:
        """Wait until the table is at least so far."""
        while self.position < seq:
            self._moved.clear()
            await self._moved.wait()

    async def run(self) -> None:
        """Project until cancelled.

        Raises:
            BusClosedError: the connection to NATS is closed for good.
            SchemaMissingError: the tables are gone.
        """
        pauses = self._backoff()
        while True:
            try:
                self.position = await positions.read(self._database, self.name)
                await self._follow()
            except _PositionMovedBackError as moved:
                self._log.warning("following again from an earlier position", reason=str(moved))
                continue
            except SchemaMissingError:
                raise
            except DatabaseAwayError as error:
                pauses = self._backoff() if self.trouble is None else pauses
                self._in_trouble(f"Postgres is away: {error}")
            except PositionLostError as error:
                pauses = self._backoff() if self.trouble is None else pauses
                self._in_trouble(f"this database was projected from another event log; rebuild it ({error})")
            await pauses.pause()

    async def _follow(self) -> None:
        self._metrics.position.labels(self.name).set(self.position)
        async with aclosing(self._projection.follow(self.position)) as batches:
            self._out_of_trouble()
            async for batch in batches:
                for part in self._projection.split(batch):
                    await self._apply(part)

    async def _apply(self, items: Sequence[T]) -> None:
        pauses = self._backoff()
        while True:
            try:
                await self._apply_once(items)
            except NotPreparedError:
                await self._prepare(items)
            except SchemaMissingError:
                raise
            except DatabaseAwayError as error:
                self._metrics.retries.labels(self.name).inc()
                self._in_trouble(f"Postgres is away: {error}")
                await pauses.pause()
            else:
                self._out_of_trouble()
                return

    async def _prepare(self, items: Sequence[T]) -> None:
        try:
            await self._projection.prepare(items)
        except DatabaseAwayError as error:
            self._log.info("not prepared, trying again", reason=str(error))

    async def _apply_once(self, items: Sequence[T]) -> None:
        try:
            await self._commit(items)
        except RefusedDataError as error:
            if len(items) == 1:
                self._log.error("message skipped: Postgres refuses it", seq=items[0].seq, reason=str(error))
                self._metrics.skipped.labels(self.name).inc()
                await self._commit(items, skip=True)
                return
            middle = len(items) // 2
            await self._apply_once(items[:middle])
            await self._apply_once(items[middle:])

    async def _commit(self, items: Sequence[T], *, skip: bool = False) -> None:
        began = time.perf_counter()
        rows = 0
        async with self._database.transaction() as connection:
            position = await positions.lock(connection, self.name)
            if position < self.position:
                raise _PositionMovedBackError(f"{position}, after {self.position}")
            fresh = [item for item in items if item.seq > position]
            if fresh:
                rows = 0 if skip else await self._projection.write(connection, fresh)
                position = fresh[-1].seq
                await positions.save(connection, self.name, position)
        self.position = position
        self._moved.set()
        self._metrics.position.labels(self.name).set(position)
        self._metrics.rows.labels(self.name).inc(rows)
        self._metrics.commit_seconds.labels(self.name).observe(time.perf_counter() - began)

    def _backoff(self) -> Backoff:
        return Backoff(self._settings.retry_first_s, self._settings.retry_longest_s)

    def _in_trouble(self, why: str) -> None:
        if self.trouble is None:
            self._log.warning("projection stands still", reason=why)
        self.trouble = why

    def _out_of_trouble(self) -> None:
        if self.trouble is not None:
            self._log.info("projection goes on", position=self.position)
        self.trouble = None
