"""An executor with the fake backend on a real NATS, and the scheduler's part played by hand."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Self

from prometheus_client import CollectorRegistry

from vulcan_contracts.clock import utc_now
from vulcan_contracts.commands import LoseExecutor, RequestKill, Schedule, Submit
from vulcan_contracts.dispatch import Assignment, foreseen
from vulcan_contracts.ids import new_incarnation, new_workload_id
from vulcan_contracts.logs import LogLine
from vulcan_contracts.spec import Spec
from vulcan_contracts.workload import Workload
from vulcan_eventstore.blobs import Blobs
from vulcan_eventstore.connection import Bus
from vulcan_eventstore.dispatch import Claims, Dispatcher, receive_hints
from vulcan_eventstore.errors import EventStoreUnavailableError
from vulcan_eventstore.follower import last_event_seq
from vulcan_eventstore.log_reader import LogReader
from vulcan_eventstore.log_seal import seal
from vulcan_eventstore.log_writer import LogWriterSettings
from vulcan_eventstore.workload_log import Tracked, WorkloadLog
from vulcan_sandbox.attempt import NodeIdentity
from vulcan_sandbox.executor import RunLogs
from vulcan_sandbox.fake import FakeBackend
from vulcan_sandbox.host import Host
from vulcan_sandbox.kill_watch import watch_kills
from vulcan_sandbox.metrics import RunMetrics
from vulcan_sandbox.protocol import Backend
from vulcan_sandbox.run_loop import Executor
from vulcan_sandbox.settings import ExecutorSettings

TENANT = "acme"
QUICK = ExecutorSettings(
    claim_wait_s=0.5, recheck_interval_s=0.5, drain_s=0.2, stop_kill_s=20.0, kill_slack_s=2.0, command_deadline_s=2.0
)


class Node:
    """One life of a node."""

    def __init__(self, executor: Executor, backend: Backend, me: NodeIdentity) -> None:
        self.executor = executor
        self.backend = backend
        self.me = me

    @classmethod
    @asynccontextmanager
    async def running(
        cls,
        bus: Bus,
        backend: Backend,
        *,
        name: str = "node-1",
        settings: ExecutorSettings = QUICK,
        log_settings: LogWriterSettings | None = None,
        stop: bool = True,
    ) -> AsyncIterator[Self]:
        """An executor that takes work; stopped in order at the end, or (`stop` False) as if its process died."""
        me = NodeIdentity(node=name, incarnation=new_incarnation())
        host = Host(
            backend=backend,
            blobs=Blobs(bus),
            log_door=RunLogs(bus, log_settings or LogWriterSettings()),
            settings=settings,
            metrics=RunMetrics(CollectorRegistry(), backend.isolation),
        )
        await bus.wait_connected(20.0)
        claims = await Claims.open(bus, name)
        executor = Executor(host, me=me, claims=claims, log=WorkloadLog(bus), version="test")
        await executor.open()
        after = await last_event_seq(bus)
        hints = await receive_hints(bus, name, executor.foresee)
        forget = bus.on_reconnect(executor.look_now)
        running = asyncio.create_task(executor.run())
        watching = asyncio.create_task(watch_kills(bus, after, executor.kill))
        try:
            yield cls(executor, backend, me)
            if stop:
                await executor.stop()
        finally:
            forget()
            for task in (running, watching):
                task.cancel()
            await asyncio.wait({running, watching})
            await hints.close()
            await claims.close()
            await backend.close()
            if not running.cancelled() and (error := running.exception()) is not None:
                raise error


class Platform:
    """What the gateway and the scheduler do around an executor."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.log = WorkloadLog(bus)
        self.dispatcher = Dispatcher(bus)
        self.reader = LogReader(bus)

    async def submit(self, spec: Spec) -> str:
        """A new workload, waiting."""
        workload_id = new_workload_id()
        await self.log.execute(TENANT, workload_id, Submit(spec=spec, fingerprint="x"), actor="user:test")
        return workload_id

    async def hint(self, workload_id: str, me: NodeIdentity) -> None:
        """Tell a node that it is about to be given this."""
        workload = foreseen(await self.state(workload_id), _schedule(me))
        assert workload is not None
        await self.dispatcher.hint(me.node, workload)

    async def schedule(self, workload_id: str, me: NodeIdentity) -> Tracked:
        """Give it to a node, on the log only."""
        command = _schedule(me)
        return (await self.log.execute(TENANT, workload_id, command, actor="scheduler")).tracked

    async def offer(self, tracked: Tracked, node: str) -> None:
        """Put it in the node's queue."""
        await self.dispatcher.offer(node, Assignment(workload=tracked.state, seq=tracked.seq))

    async def give(self, workload_id: str, me: NodeIdentity) -> None:
        """Schedule and dispatch."""
        await self.offer(await self.schedule(workload_id, me), me.node)

    async def run(self, spec: Spec, node: Node) -> str:
        """Submit, schedule, dispatch."""
        workload_id = await self.submit(spec)
        await self.give(workload_id, node.me)
        return workload_id

    async def kill(self, workload_id: str) -> None:
        """What a user's kill does."""
        await self.log.execute(TENANT, workload_id, RequestKill(), actor="user:test")

    async def lose(self, workload_id: str, me: NodeIdentity) -> None:
        """Declare a life of a node over, as the scheduler does: seal the log, then say so."""
        tracked = await self.log.load(TENANT, workload_id)
        assert tracked is not None
        attempt = tracked.state.attempt
        last = await seal(self.bus, TENANT, workload_id, attempt, "lost")
        command = LoseExecutor(node=me.node, incarnation=me.incarnation, attempt=attempt, at=utc_now(), last_line=last)
        await self.log.execute(TENANT, workload_id, command, actor="scheduler")

    async def state(self, workload_id: str) -> Workload:
        """The workload now."""
        tracked = await self.log.load(TENANT, workload_id)
        assert tracked is not None
        return tracked.state

    async def until(self, workload_id: str, enough: Callable[[Workload], bool], within_s: float = 60.0) -> Workload:
        """Wait until the workload is as wanted."""
        async with asyncio.timeout(within_s):
            while True:
                try:
                    state = await self.state(workload_id)
                    if enough(state):
                        return state
                except EventStoreUnavailableError:
                    pass
                await asyncio.sleep(0.02)

    async def ended(self, workload_id: str, within_s: float = 60.0) -> Workload:
        """Wait for the end."""
        return await self.until(workload_id, lambda state: state.ended, within_s)

    async def until_line(self, workload_id: str, text: str, within_s: float = 30.0) -> None:
        """Wait until a line has been stored."""
        async with asyncio.timeout(within_s):
            while True:
                if text in [line.text for line in await self.lines(workload_id)]:
                    return
                await asyncio.sleep(0.02)

    async def lines(self, workload_id: str) -> list[LogLine]:
        """All stored lines."""
        return await self.reader.read(TENANT, workload_id, limit=1_000_000)

    async def types(self, workload_id: str) -> list[str]:
        """The types of its events."""
        return [event.envelope.type for event in await self.log.history(TENANT, workload_id)]


def _schedule(me: NodeIdentity) -> Schedule:
    return Schedule(isolation="v8", isolation_reason="test", node=me.node, incarnation=me.incarnation)


def contiguous(lines: list[LogLine]) -> bool:
    """True if the lines are numbered 1, 2, 3 ..."""
    return [line.seq for line in lines] == list(range(1, len(lines) + 1))


def fake(**fields: Any) -> FakeBackend:
    """A fake backend."""
    return FakeBackend(**fields)
