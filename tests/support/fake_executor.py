"""An executor that runs nothing: it claims, appends the start, waits as told, appends the end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from support.scheduling import heartbeat
from vulcan_contracts import subjects
from vulcan_contracts.clock import utc_now
from vulcan_contracts.commands import End, Start
from vulcan_contracts.errors import DomainError
from vulcan_contracts.ids import new_incarnation
from vulcan_contracts.outcome import Outcome
from vulcan_contracts.spec import Backend
from vulcan_eventstore import broadcast
from vulcan_eventstore.connection import Bus
from vulcan_eventstore.dispatch import Claim, Claims
from vulcan_eventstore.errors import EventStoreUnavailableError
from vulcan_eventstore.workload_log import Tracked, WorkloadLog


class FakeExecutor:
    """One life of a node. `started` and `bounced` are the workload ids in order; `finish` lets every run end."""

    def __init__(
        self,
        bus: Bus,
        node: str,
        *,
        slots: int = 4,
        run_s: float | None = 0.0,
        interval_s: float = 0.1,
        **node_has: Any,
    ) -> None:
        self.bus = bus
        self.node = node
        self.incarnation = new_incarnation()
        self.slots = slots
        self.run_s = run_s
        self.finish = asyncio.Event()
        self.started: list[str] = []
        self.bounced: list[str] = []
        self.running: set[str] = set()
        self.most_at_once = 0
        self.claiming = True
        self._log = WorkloadLog(bus)
        self._beat = heartbeat(node, self.incarnation, slots=slots, interval_s=interval_s, **node_has)
        self._freed = asyncio.Event()

    async def beat(self) -> None:
        while True:
            await broadcast.publish(self.bus, subjects.HEARTBEATS, self._beat)
            await asyncio.sleep(self._beat.interval_s)

    async def goodbye(self) -> None:
        await broadcast.publish(self.bus, subjects.HEARTBEATS, msgspec.structs.replace(self._beat, state="stopped"))

    async def work(self) -> None:
        claims = await Claims.open(self.bus, self.node)
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    room = self.slots - len(self.running)
                    if room <= 0 or not self.claiming:
                        self._freed.clear()
                        await asyncio.wait([asyncio.ensure_future(self._freed.wait())], timeout=0.05)
                        continue
                    for claim in await claims.take(room, 0.5):
                        self.running.add(claim.assignment.workload.id)
                        self.most_at_once = max(self.most_at_once, len(self.running))
                        group.create_task(self._run(claim))
        finally:
            await claims.close()

    async def _run(self, claim: Claim) -> None:
        workload = claim.assignment.workload
        try:
            start = Start(node=self.node, incarnation=self.incarnation, attempt=workload.attempt)
            known = Tracked(workload, claim.assignment.seq)
            try:
                tracked = (await self._execute(workload.tenant, workload.id, start, known)).tracked
            except DomainError:
                self.bounced.append(workload.id)
                return
            finally:
                await claim.done()
            self.started.append(workload.id)
            if self.run_s is None:
                await self.finish.wait()
            else:
                await asyncio.sleep(self.run_s)
            end = End(
                node=self.node,
                incarnation=self.incarnation,
                attempt=workload.attempt,
                outcome=Outcome(exit_code=0),
                at=utc_now(),
            )
            try:
                await self._execute(workload.tenant, workload.id, end, tracked)
            except DomainError:
                self.bounced.append(workload.id)
        finally:
            self.running.discard(workload.id)
            self._freed.set()

    async def _execute(self, tenant: str, workload_id: str, command: Start | End, known: Tracked) -> Any:
        while True:
            try:
                return await self._log.execute(tenant, workload_id, command, actor=f"executor:{self.node}", known=known)
            except EventStoreUnavailableError:
                await asyncio.sleep(0.05)


@asynccontextmanager
async def executing(
    bus: Bus, node: str, *, isolation: Backend = "v8", run_s: float | None = 0.0, slots: int = 4, **node_has: Any
) -> AsyncIterator[FakeExecutor]:
    """A fake executor that is there while the block runs; it leaves without a word, as one that is killed."""
    executor = FakeExecutor(bus, node, slots=slots, run_s=run_s, isolation=isolation, **node_has)
    tasks = [asyncio.create_task(executor.beat()), asyncio.create_task(executor.work())]
    try:
        yield executor
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
