"""Schedulers for tests: in this process, or as a process of their own that can be killed."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import msgspec

from support.nats import NatsServer
from support.scheduling import spec
from vulcan_chassis.service import Service, ServiceSettings
from vulcan_contracts.commands import Submit
from vulcan_contracts.ids import new_workload_id
from vulcan_contracts.spec import Spec
from vulcan_contracts.workload import Workload
from vulcan_eventstore.connection import Bus
from vulcan_eventstore.workload_log import WorkloadLog
from vulcan_scheduler.settings import SchedulerSettings, Tuning
from vulcan_scheduler.wiring import wire

T = TypeVar("T")

QUICK = Tuning(
    lease_ttl_s=1.0,
    heartbeat_interval_s=0.1,
    missed_heartbeats=20,
    dispatch_timeout_s=1.0,
    snapshot_interval_s=0.05,
    checkpoint_min_events=1,
    checkpoint_interval_s=3600,
)
"""A scheduler that notices things within two seconds."""


@asynccontextmanager
async def scheduling(server: NatsServer, **tuning: Any) -> AsyncIterator[Service]:
    """A scheduler in this process while the block runs; it stops in order."""
    service = Service("scheduler", ServiceSettings())
    settings = SchedulerSettings(nats=server.settings, scheduler=msgspec.structs.replace(QUICK, **tuning))
    try:
        await wire(service, settings)
        yield service
    finally:
        assert await service.close()
    assert not service.crashed


class SchedulerProcess:
    """`python -m vulcan_scheduler`, on quick settings."""

    def __init__(self, server: NatsServer, name: str, **settings: str) -> None:
        environ = {
            **{key: value for key, value in os.environ.items() if not key.startswith("VULCAN_")},
            "VULCAN_NATS_URL": server.url,
            "VULCAN_SCHEDULER_NAME": name,
            "VULCAN_SCHEDULER_LEASE_TTL_S": "1",
            "VULCAN_SCHEDULER_HEARTBEAT_INTERVAL_S": "0.1",
            "VULCAN_SCHEDULER_MISSED_HEARTBEATS": "20",
            "VULCAN_SCHEDULER_DISPATCH_TIMEOUT_S": "1",
            "VULCAN_SCHEDULER_CHECKPOINT_MIN_EVENTS": "1",
            "VULCAN_SCHEDULER_CHECKPOINT_INTERVAL_S": "0.2",
            "VULCAN_LOG_FORMAT": "json",
            **settings,
        }
        self.log = server.folder / f"{name}.log"
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "vulcan_scheduler"], env=environ, stdout=output, stderr=output
            )

    def said(self, event: str) -> bool:
        return f'"event":"{event}"' in self.log.read_text()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def terminate(self) -> int:
        self.process.terminate()
        return self.process.wait(timeout=30)


class Client:
    """Submits and looks, as a gateway would."""

    def __init__(self, bus: Bus) -> None:
        self.log = WorkloadLog(bus)
        self.ids: list[tuple[str, str]] = []

    async def submit(self, tenant: str = "a", **changes: Any) -> str:
        return await self.submit_spec(spec(**changes), tenant)

    async def submit_spec(self, wanted: Spec, tenant: str = "a") -> str:
        workload_id = new_workload_id()
        command = Submit(spec=wanted, fingerprint="f")
        await self.log.execute(tenant, workload_id, command, actor="user:test", deadline_s=30.0)
        self.ids.append((tenant, workload_id))
        return workload_id

    async def state(self, workload_id: str, tenant: str = "a") -> Workload:
        tracked = await self.log.load(tenant, workload_id)
        assert tracked is not None
        return tracked.state

    async def all_ended(self, timeout_s: float = 60.0) -> list[Workload]:
        found = []
        for tenant, workload_id in self.ids:

            async def ended(tenant: str = tenant, workload_id: str = workload_id) -> Workload | None:
                state = await self.state(workload_id, tenant)
                return state if state.ended else None

            found.append(await until(ended, timeout_s))
        return found


async def until(probe: Callable[[], Awaitable[T | None]], timeout_s: float = 60.0) -> T:
    """What the probe returns once that is true; the deadline is there to fail, not to measure."""
    give_up = time.monotonic() + timeout_s
    while True:
        found = await probe()
        if found:
            return found
        assert time.monotonic() < give_up, "it did not happen in time"
        await asyncio.sleep(0.02)
