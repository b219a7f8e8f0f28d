"""Logstores as they run, on a real NATS and Postgres, and a world that gives them something to project."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import asyncpg
import msgspec
import pytest_asyncio

from support.eventlog import TENANT, end, schedule, start, submit
from support.nats import NatsServer
from vulcan_chassis.service import Service, ServiceSettings
from vulcan_contracts import ids, subjects
from vulcan_contracts.commands import Command
from vulcan_contracts.logs import LogBatch, LogLine, encode_batch
from vulcan_contracts.outcome import Outcome
from vulcan_eventstore import jetstream
from vulcan_eventstore.connection import Bus
from vulcan_eventstore.workload_log import WorkloadLog
from vulcan_logstore.settings import LogstoreSettings, ProjectionSettings, RebuildSettings
from vulcan_logstore.wiring import wire

QUICK = ProjectionSettings(retry_first_s=0.02, retry_longest_s=0.2, lag_interval_s=0.1)
PATIENCE_S = 30.0

Rows = list[tuple[Any, ...]]


class Logstores:
    """Starts logstores, in this process or as processes to kill, and ends them all."""

    def __init__(self, nats_server: NatsServer) -> None:
        self._nats = nats_server
        self.services: list[Service] = []
        self.processes: list[subprocess.Popen[bytes]] = []

    def settings(self, database_url: str, **changes: Any) -> LogstoreSettings:
        settings = LogstoreSettings(
            database_url=database_url,
            nats=self._nats.settings,
            projection=QUICK,
            rebuild=RebuildSettings(poll_interval_s=0.1, progress_interval_s=0.02),
        )
        return msgspec.structs.replace(settings, **changes)

    async def start(self, database_url: str, **changes: Any) -> Service:
        """One in this process."""
        service = Service("logstore", ServiceSettings())
        self.services.append(service)
        await wire(service, self.settings(database_url, **changes))
        return service

    def spawn(self, database_url: str) -> subprocess.Popen[bytes]:
        """One in a process of its own."""
        environ = {
            "VULCAN_DATABASE_URL": database_url,
            "VULCAN_NATS_URL": self._nats.url,
            "VULCAN_PROJECTION_RETRY_FIRST_S": "0.02",
            "VULCAN_PROJECTION_MAX_LOG_BATCHES": "7",
            "VULCAN_PROJECTION_MAX_EVENTS": "7",
            "VULCAN_LOG_LEVEL": "warning",
        }
        process = subprocess.Popen([sys.executable, "-m", "vulcan_logstore"], env={**os.environ, **environ})
        self.processes.append(process)
        return process

    async def close(self) -> None:
        for service in self.services:
            assert await service.close()
            assert not service.crashed
        for process in self.processes:
            process.kill()
            process.wait()


@pytest_asyncio.fixture
async def logstores(nats_server: NatsServer) -> AsyncIterator[Logstores]:
    """Starts logstores; they are stopped in order at the end."""
    started = Logstores(nats_server)
    yield started
    await started.close()


class World:
    """Workloads that run and print."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.log = WorkloadLog(bus)

    async def do(self, workload_id: str, *commands: Command, tenant: str = TENANT) -> None:
        known = None
        for command in commands:
            known = (await self.log.execute(tenant, workload_id, command, actor="test", known=known)).tracked

    async def run(self, *, tenant: str = TENANT, lines: int = 3, outcome: Outcome | None = None) -> str:
        """A workload from its submit to its end, with lines; its id."""
        workload_id = ids.new_workload_id()
        await self.do(workload_id, submit(), schedule(), start(), tenant=tenant)
        await self.print(workload_id, [f"line {number}" for number in range(1, lines + 1)], tenant=tenant)
        last = msgspec.structs.replace(outcome or Outcome(exit_code=0), last_line=lines)
        await self.do(workload_id, end(outcome=last), tenant=tenant)
        return workload_id

    async def print(
        self,
        workload_id: str,
        texts: Sequence[str],
        *,
        tenant: str = TENANT,
        first: int = 1,
        batch: int = 5,
        time: datetime | None = None,
    ) -> None:
        """Lines in small batches, straight onto the stream."""
        at = time or datetime.now(UTC)
        numbered = [
            LogLine(seq=number, time=at, stream="stdout", text=text) for number, text in enumerate(texts, start=first)
        ]
        for begin in range(0, len(numbered), batch):
            stored = LogBatch(workload_id=workload_id, tenant=tenant, attempt=1, lines=numbered[begin : begin + batch])
            await jetstream.publish(self.bus, subjects.log(tenant, workload_id), encode_batch(stored))


@pytest_asyncio.fixture
async def world(bus: Bus) -> World:
    return World(bus)


async def query(url: str, sql: str, *args: Any) -> Rows:
    """What a reader sees."""
    connection = await asyncpg.connect(url, timeout=10)
    try:
        return [tuple(row) for row in await connection.fetch(sql, *args)]
    finally:
        await connection.close(timeout=5)


async def eventually(condition: Callable[[], Awaitable[Any]]) -> Any:
    """Wait until the condition gives something true, Postgres being there or not."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                if found := await condition():
                    return found
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                pass
            await asyncio.sleep(0.02)


async def content(url: str) -> dict[str, Rows]:
    """Everything that the projections hold."""
    return {
        "workloads": await query(url, "SELECT * FROM workloads ORDER BY id"),
        "log_lines": await query(url, "SELECT * FROM log_lines ORDER BY tenant, workload_id, seq, expires_on"),
    }


async def caught_up(url: str, bus: Bus) -> None:
    """Wait until everything that is on the streams now is in."""
    ends = {}
    for name, stream, subject in (
        ("workloads", subjects.EVENTS_STREAM, subjects.ALL_EVENTS),
        ("log_lines", subjects.LOGS_STREAM, subjects.ALL_LOGS),
    ):
        last = await jetstream.leader_last(bus, stream, subject)
        ends[name] = 0 if last is None else last.seq

    async def reached() -> bool:
        found: dict[str, int] = dict(await query(url, "SELECT name, seq FROM projection_positions"))
        return all(found.get(name, -1) >= seq for name, seq in ends.items())

    await eventually(reached)
