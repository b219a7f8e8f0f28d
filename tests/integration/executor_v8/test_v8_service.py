"""The service as it is started for real: its own process, a real NATS, real runs."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from support.executors import Platform
from support.nats import NatsServer
from support.v8_backend import new_node, settings
from support.v8_runs import program
from vulcan_contracts import subjects
from vulcan_contracts.nodes import Heartbeat
from vulcan_contracts.reasons import Reason
from vulcan_eventstore import broadcast
from vulcan_eventstore.connection import Bus
from vulcan_executor_v8.recover import using
from vulcan_sandbox.attempt import NodeIdentity


class Service:
    """The process, its node and its first heartbeat."""

    def __init__(self, process: asyncio.subprocess.Process, first: Heartbeat, run_dir: Path) -> None:
        self.process = process
        self.first = first
        self.run_dir = run_dir
        self.me = NodeIdentity(node=first.node, incarnation=first.incarnation)


async def start(
    server: NatsServer, node: str, run_dir: str, *, stdout: int | None = None, stderr: int | None = None
) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "vulcan_executor_v8", stdout=stdout, stderr=stderr,
        env={
            "PATH": os.environ["PATH"], "VULCAN_NATS_URL": server.url, "VULCAN_NODE": node,
            "VULCAN_V8_RUN_DIR": run_dir, "VULCAN_V8_WARM_HOSTS": "1", "VULCAN_EXECUTOR_HEARTBEAT_INTERVAL_S": "0.2",
            "VULCAN_LOG_LEVEL": "warning",
        },
    )  # fmt: skip


@asynccontextmanager
async def running(server: NatsServer, bus: Bus, node: str, run_dir: str) -> AsyncIterator[Service]:
    beats: asyncio.Queue[Heartbeat] = asyncio.Queue()
    heard = await broadcast.subscribe(bus, subjects.HEARTBEATS, Heartbeat, beats.put_nowait)
    process = await start(server, node, run_dir)
    try:
        yield Service(process, await asyncio.wait_for(beats.get(), 40), Path(run_dir) / node)
    finally:
        await heard.close()
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_the_service_runs_workloads_and_stops_in_order(nats_server: NatsServer, bus: Bus) -> None:
    platform, node, config = Platform(bus), new_node(), settings()
    async with running(nats_server, bus, node, config.run_dir) as service:
        assert service.first.backend.available, service.first.backend
        assert service.first.capacity.slots > 0
        ids = [
            await platform.submit(program(f"console.log('n', {n}); export default (x) => x + 1;", input=n))
            for n in range(6)
        ]
        for workload_id in ids:
            await platform.give(workload_id, service.me)
        for n, workload_id in enumerate(ids):
            state = await platform.ended(workload_id)
            assert state.outcome is not None
            assert (state.state, state.outcome.result) == ("completed", n + 1), state.outcome
            assert [line.text for line in await platform.lines(workload_id)] == [f"n {n}"]

        endless = await platform.submit(program("console.log('on'); for (;;);", timeout_s=600.0))
        await platform.give(endless, service.me)
        await platform.until_line(endless, "on")
        await platform.kill(endless)
        ended = await platform.ended(endless)
        assert ended.outcome is not None
        assert (ended.state, ended.outcome.reason) == ("killed", Reason.KILLED_BY_USER)

        late = await platform.submit(program("for (;;);", timeout_s=0.5))
        await platform.give(late, service.me)
        ended = await platform.ended(late)
        assert ended.outcome is not None
        assert ended.outcome.reason is Reason.TIMED_OUT

        service.process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(service.process.wait(), 30) == 0
        assert using(service.run_dir) == {}


async def test_a_killed_service_comes_back_clean(nats_server: NatsServer, bus: Bus) -> None:
    platform, node, config = Platform(bus), new_node(), settings()
    async with running(nats_server, bus, node, config.run_dir) as service:
        lost = await platform.submit(program("console.log('on'); for (;;);", timeout_s=600.0))
        await platform.give(lost, service.me)
        await platform.until_line(lost, "on")
        service.process.kill()
        await service.process.wait()
    async with running(nats_server, bus, node, config.run_dir) as service:
        assert service.first.backend.available
        again = await platform.submit(program("export default () => 'back';"))
        await platform.give(again, service.me)
        state = await platform.ended(again)
        assert state.outcome is not None
        assert state.outcome.result == "back"
        service.process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(service.process.wait(), 30) == 0
        assert using(service.run_dir) == {}


async def test_a_second_service_of_the_same_name_refuses_to_start(nats_server: NatsServer, bus: Bus) -> None:
    platform, node, config = Platform(bus), new_node(), settings()
    async with running(nats_server, bus, node, config.run_dir) as service:
        second = await start(nats_server, node, config.run_dir, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        said, _ = await asyncio.wait_for(second.communicate(), 60)
        assert second.returncode != 0
        assert f"Another executor named {node} runs on this machine".encode() in said
        assert b"VULCAN_NODE" in said
        assert b"Traceback" not in said
        unharmed = await platform.submit(program("export default () => 'unharmed';"))
        await platform.give(unharmed, service.me)
        state = await platform.ended(unharmed)
        assert state.outcome is not None
        assert state.outcome.result == "unharmed"
