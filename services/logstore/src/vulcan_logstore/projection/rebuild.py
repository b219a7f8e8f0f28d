"""Builds the projections anew from the log, beside the old ones, and puts them in their place all at once.

The new tables are made by the same migrations in a schema of their own, and filled by the same projectors. When they
have caught up, one transaction holds the old projectors at their position, lets the new ones pass it, and swaps.
Readers see the old content, then the new, and never less than before.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import structlog

from vulcan_chassis.errors import StartError
from vulcan_contracts.projections import RebuildStatus
from vulcan_eventstore.errors import EventStoreError
from vulcan_logstore.db import rebuilds
from vulcan_logstore.db.database import Connection, Database
from vulcan_logstore.db.errors import DatabaseAwayError, RefusedDataError
from vulcan_logstore.db.migrate import migrate
from vulcan_logstore.metrics import Metrics
from vulcan_logstore.projection.projector import Projector
from vulcan_logstore.settings import RebuildSettings

Projectors = Sequence[Projector[Any]]


class Rebuilder:
    """Runs the rebuilds that were asked for, one at a time over all logstores.

    open_shadow: a database whose schema is the rebuild's own. projectors: new ones that write into a database.
    """

    def __init__(
        self,
        database: Database,
        *,
        open_shadow: Callable[[], Awaitable[Database]],
        projectors: Callable[[Database], Projectors],
        settings: RebuildSettings,
        metrics: Metrics,
    ) -> None:
        self._database = database
        self._open_shadow = open_shadow
        self._projectors = projectors
        self._settings = settings
        self._metrics = metrics
        self._asked = asyncio.Event()
        self._log = structlog.get_logger()

    async def request(self, rebuild_id: str) -> RebuildStatus:
        """Ask for a rebuild; it begins soon, here or in another logstore.

        Raises:
            DatabaseAwayError: Postgres is away.
        """
        status = await rebuilds.request(self._database, rebuild_id)
        self._asked.set()
        return status

    async def status(self, rebuild_id: str | None) -> RebuildStatus | None:
        """How far one rebuild is, or the newest.

        Raises:
            DatabaseAwayError: Postgres is away.
        """
        return await rebuilds.find(self._database, rebuild_id)

    async def run(self) -> None:
        """Look for work until cancelled."""
        failing = False
        while True:
            try:
                await self._look()
            except* (DatabaseAwayError, EventStoreError) as errors:
                # Said once: it is asked again and again, while the projections say what is wrong.
                (self._log.debug if failing else self._log.warning)("no rebuild now", reason=str(errors.exceptions[0]))
                failing = True
            else:
                failing = False
            try:
                async with asyncio.timeout(self._settings.poll_interval_s):
                    await self._asked.wait()
            except TimeoutError:
                pass
            self._asked.clear()

    async def _look(self) -> None:
        status = await rebuilds.going_on(self._database)
        if status is None:
            return
        async with rebuilds.claimed(self._database) as claim:
            if claim is not None:
                await self._rebuild(claim, status.id)

    async def _rebuild(self, claim: Connection, rebuild_id: str) -> None:
        shadow = await self._open_shadow()
        try:
            await self._fill(claim, rebuild_id, shadow)
        except* (StartError, RefusedDataError) as errors:
            reason = str(errors.exceptions[0])
            self._log.error("rebuild failed", rebuild=rebuild_id, reason=reason)
            self._metrics.rebuilds.labels("failed").inc()
            await rebuilds.fail(self._database, rebuild_id, reason)
        else:
            self._log.info("rebuild done", rebuild=rebuild_id)
            self._metrics.rebuilds.labels("done").inc()
        finally:
            await shadow.close()

    async def _fill(self, claim: Connection, rebuild_id: str, shadow: Database) -> None:
        projectors = self._projectors(shadow)
        targets = await _ends(projectors)
        self._log.info("rebuild begins", rebuild=rebuild_id, **targets)
        await rebuilds.begin(
            self._database, rebuild_id, events_target=targets["workloads"], logs_target=targets["log_lines"]
        )
        await migrate(shadow)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(each.run(), name=f"rebuild {each.name}") for each in projectors]
            await self._catch_up(claim, rebuild_id, projectors, targets)
            while not await self._swapped(rebuild_id, projectors, tasks):
                await self._tick(claim, rebuild_id, projectors)

    async def _catch_up(
        self, claim: Connection, rebuild_id: str, projectors: Projectors, targets: dict[str, int]
    ) -> None:
        while any(each.position < targets[each.name] for each in projectors):
            await self._tick(claim, rebuild_id, projectors)

    async def _tick(self, claim: Connection, rebuild_id: str, projectors: Projectors) -> None:
        rebuilds.check(claim)
        await rebuilds.progress(self._database, rebuild_id, {each.name: each.position for each in projectors})
        await asyncio.sleep(self._settings.progress_interval_s)

    async def _swapped(self, rebuild_id: str, projectors: Projectors, tasks: list[asyncio.Task[None]]) -> bool:
        try:
            async with self._database.transaction() as connection, asyncio.timeout(self._settings.swap_timeout_s):
                live = await rebuilds.lock_live(connection)
                needed = {name: min(live[name], end) for name, end in (await _ends(projectors)).items()}
                for each in projectors:
                    await each.reached(needed[each.name])
                await rebuilds.lock_tables(connection)
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)
                await rebuilds.take_over(connection, rebuild_id, needed)
        except DatabaseAwayError as error:
            if any(task.done() for task in tasks):
                raise  # too late to go on: it begins again
            self._log.info("the swap has to wait", rebuild=rebuild_id, reason=str(error))
            return False
        return True


async def _ends(projectors: Projectors) -> dict[str, int]:
    return {each.name: await each.last_seq() for each in projectors}
