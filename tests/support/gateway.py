"""A gateway as it runs, on a real NATS and Postgres, and the hand that plays scheduler and executor."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec

from support.api_document import check_documented
from support.nats import NatsServer
from vulcan_chassis.service import Service, ServiceSettings
from vulcan_contracts import subjects
from vulcan_contracts.commands import End, Schedule, Start
from vulcan_contracts.ids import new_incarnation
from vulcan_contracts.logs import Stream
from vulcan_contracts.nodes import BackendReport, Capacity, Heartbeat
from vulcan_contracts.outcome import Outcome
from vulcan_eventstore import broadcast
from vulcan_eventstore.connection import Bus
from vulcan_eventstore.follower import follow_events
from vulcan_eventstore.log_writer import LogWriter
from vulcan_eventstore.workload_log import WorkloadLog
from vulcan_gateway.live.tail import TailSettings
from vulcan_gateway.settings import ClusterSettings, GatewaySettings
from vulcan_gateway.wiring import wire

INLINE = {"source": {"type": "inline", "code": "console.log(1)"}, "runtime": "javascript"}
NODE = "node-1"
Lines = Iterable[tuple[Stream, str]]


class Gateway:
    """One gateway, which can be stopped and started again on its port."""

    def __init__(self, settings: GatewaySettings) -> None:
        self.settings = settings
        self.service: Service | None = None
        self.url = ""

    async def start(self) -> None:
        service = Service("gateway", ServiceSettings(stop_step_timeout_s=3.0))
        self.service = service
        served = service.serve

        async def remember(app: Any, listen: str, *, name: str = "http") -> Any:
            server = await served(app, listen, name=name)
            self.url = server.url
            self.settings = msgspec.structs.replace(self.settings, listen=server.address)
            return server

        service.serve = remember  # type: ignore[method-assign]  # to learn the port
        await wire(service, self.settings)

    async def stop(self) -> None:
        if self.service is not None:
            service, self.service = self.service, None
            assert await service.close()
            assert not service.crashed

    async def restart(self) -> None:
        await self.stop()
        await self.start()

    def client(self, token: str | None, **options: Any) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        defaults: dict[str, Any] = {"headers": headers, "event_hooks": {"response": [check_documented]}}
        return httpx.AsyncClient(base_url=self.url, timeout=30.0, **(defaults | options))


class World:
    """What is behind the gateway: a node that says it is there, and runs that go as a test wants."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.log = WorkloadLog(bus)
        self.incarnation = new_incarnation()

    async def beat(self, *, node: str = NODE, **changes: Any) -> None:
        heartbeat = Heartbeat(
            node=node,
            incarnation=self.incarnation,
            state="ready",
            time=datetime.now(UTC),
            version="1",
            backend=BackendReport(isolation="v8", available=True, engine="fake", runtimes=["javascript", "typescript"]),
            capacity=Capacity(cpus=2, memory_mb=1024, slots=4),
            used=Capacity(cpus=0, memory_mb=0, slots=0),
            interval_s=60.0,
        )
        assert await broadcast.publish(self.bus, subjects.HEARTBEATS, msgspec.structs.replace(heartbeat, **changes))

    async def start(self, tenant: str, workload_id: str, *, attempt: int = 1) -> None:
        schedule = Schedule(isolation="v8", isolation_reason="only one", node=NODE, incarnation=self.incarnation)
        await self.log.execute(tenant, workload_id, schedule, actor="scheduler")
        start = Start(node=NODE, incarnation=self.incarnation, attempt=attempt)
        await self.log.execute(tenant, workload_id, start, actor=f"executor:{NODE}")

    async def writer(self, tenant: str, workload_id: str, *, attempt: int = 1) -> LogWriter:
        return await LogWriter.open(self.bus, tenant=tenant, workload_id=workload_id, attempt=attempt)

    async def print(self, tenant: str, workload_id: str, lines: Lines) -> int:
        writer = await self.writer(tenant, workload_id)
        for stream, text in lines:
            await writer.write(stream, text)
        return await writer.close()

    async def end(self, tenant: str, workload_id: str, *, attempt: int = 1, **outcome: Any) -> None:
        end = End(
            node=NODE,
            incarnation=self.incarnation,
            attempt=attempt,
            outcome=Outcome(**({"exit_code": 0} | outcome)),
            at=datetime.now(UTC),
        )
        await self.log.execute(tenant, workload_id, end, actor=f"executor:{NODE}")

    async def run(self, tenant: str, workload_id: str, lines: Lines = (), **outcome: Any) -> None:
        """From pending to its end."""
        await self.start(tenant, workload_id)
        last_line = await self.print(tenant, workload_id, lines)
        await self.end(tenant, workload_id, last_line=last_line, **outcome)

    async def run_when_submitted(self, tenant: str, lines: Lines = (), **outcome: Any) -> str:
        """Wait for the tenant's next submit and run it; its id."""
        async for batch in follow_events(
            self.bus, filter_subject=subjects.tenant_events(tenant, "submitted"), after_seq=None
        ):
            workload_id = batch[0].envelope.workload_id
            await self.run(tenant, workload_id, lines, **outcome)
            return workload_id
        raise AssertionError


async def eventually(condition: Callable[[], Awaitable[Any]], timeout_s: float = 10.0) -> Any:
    """Wait until an async condition holds, and return what it gave."""
    async with asyncio.timeout(timeout_s):
        while True:
            if found := await condition():
                return found
            await asyncio.sleep(0.01)


async def make_key(api: httpx.AsyncClient, **wanted: Any) -> dict[str, Any]:
    """A new key, as the API answers it."""
    answer = await api.post("/v1/keys", json=wanted)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def submit(api: httpx.AsyncClient, **changes: Any) -> str:
    """Submit something and return its id."""
    answer = await api.post("/v1/workloads/async", json=INLINE | changes)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def settings_for(nats_server: NatsServer, database_url: str, key_file: Path) -> GatewaySettings:
    """A gateway that is quick to judge."""
    return GatewaySettings(
        listen="127.0.0.1:0",
        database_url=database_url,
        bootstrap_key_file=str(key_file),
        nats=nats_server.settings,
        cluster=ClusterSettings(node_grace_s=0.1),
        tail=TailSettings(keep_alive_s=0.5),
    )
