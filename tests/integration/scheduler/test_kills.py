"""Schedulers, executors and NATS, each a process, killed and frozen at random while workloads come: what must hold."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

from support.fake_programs import script
from support.nats import NatsServer
from support.schedulers import Client, until
from vulcan_contracts.logs import LogLine
from vulcan_contracts.reasons import Reason
from vulcan_contracts.spec import Resources, Retry, Spec
from vulcan_eventstore.connection import Bus
from vulcan_eventstore.log_reader import LogReader

_HURT_S: Final = 15.0
_SETTLE_S: Final = 90.0
_MODULES: Final = {
    "s1": "vulcan_scheduler",
    "s2": "vulcan_scheduler",
    "n1": "support.fake_service",
    "n2": "support.fake_service",
}
_QUICK: Final = {
    "VULCAN_SCHEDULER_LEASE_TTL_S": "1",
    "VULCAN_SCHEDULER_HEARTBEAT_INTERVAL_S": "0.3",
    "VULCAN_SCHEDULER_MISSED_HEARTBEATS": "6",
    "VULCAN_SCHEDULER_DISPATCH_TIMEOUT_S": "2",
    "VULCAN_SCHEDULER_CHECKPOINT_MIN_EVENTS": "1",
    "VULCAN_SCHEDULER_CHECKPOINT_INTERVAL_S": "1",
    "VULCAN_EXECUTOR_HEARTBEAT_INTERVAL_S": "0.3",
    "VULCAN_EXECUTOR_RECHECK_INTERVAL_S": "3",
    "VULCAN_EXECUTOR_CLAIM_WAIT_S": "1",
}


class Processes:
    """Two schedulers and two executors."""

    def __init__(self, server: NatsServer) -> None:
        self._server = server
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str) -> None:
        environ = {key: value for key, value in os.environ.items() if not key.startswith("VULCAN_")}
        environ |= _QUICK | {
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "VULCAN_NATS_URL": self._server.url,
            "VULCAN_NODE": name,
            "VULCAN_SCHEDULER_NAME": name,
        }
        with (self._server.folder / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                [sys.executable, "-m", _MODULES[name]], env=environ, stdout=log, stderr=log
            )

    def kill(self, name: str) -> None:
        process = self._running[name]
        process.kill()
        process.wait()

    async def freeze(self, name: str, for_s: float) -> None:
        """Let it stand still for longer than it may, and then go on as if nothing had been."""
        process = self._running[name]
        process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(for_s)
        process.send_signal(signal.SIGCONT)

    def restart_the_dead(self) -> None:
        """What a supervisor does."""
        for name, process in list(self._running.items()):
            if process.poll() is not None:
                self.start(name)


@asynccontextmanager
async def platform(server: NatsServer) -> AsyncIterator[Processes]:
    processes = Processes(server)
    for name in _MODULES:
        processes.start(name)

    async def supervise() -> None:
        while True:
            processes.restart_the_dead()
            await asyncio.sleep(0.1)

    supervisor = asyncio.create_task(supervise())
    try:
        yield processes
    finally:
        supervisor.cancel()
        for name in _MODULES:
            processes.kill(name)


def any_program(chance: random.Random) -> Spec:
    printing = [line for number in range(50) for line in (f"print {number}", "sleep 0.02")]
    lines = chance.choice([["print quick"], printing, ["print before", "sleep 2", "print after"], ["flood"]])
    resources = Resources(output_mb=4, memory_mb=64, cpus=0.2)
    return script(*lines, timeout_s=60, grace_s=0.1, retry=Retry(max_attempts=10), resources=resources)


async def hurt(server: NatsServer, processes: Processes, chance: random.Random) -> None:
    stop_at = time.monotonic() + _HURT_S
    while time.monotonic() < stop_at:
        await asyncio.sleep(chance.uniform(0.5, 2.0))
        name = chance.choice(list(_MODULES))
        match chance.choice(["kill", "kill", "freeze", "freeze", "nats"]):
            case "kill":
                processes.kill(name)
            case "freeze":
                await processes.freeze(name, chance.uniform(0.5, 4.0))
            case _:
                await server.bounce(chance.uniform(0.0, 1.0))


async def all_lines(bus: Bus, workload_id: str) -> list[LogLine]:
    lines: list[LogLine] = []
    while page := await LogReader(bus).read("a", workload_id, after_line=len(lines), limit=5000):
        lines += page
    return lines


async def test_every_workload_ends_once_and_its_log_is_whole(nats_server: NatsServer, bus: Bus) -> None:
    seed = random.randrange(1_000_000)
    print(f"seed {seed}")  # noqa: T201 - shown when the test fails
    chance, client = random.Random(seed), Client(bus)
    async with platform(nats_server) as processes:
        hurting = asyncio.create_task(hurt(nats_server, processes, chance))
        while not hurting.done():
            await client.submit_spec(any_program(chance))
            await asyncio.sleep(chance.uniform(0.05, 0.4))
        await hurting
        give_up = time.monotonic() + _SETTLE_S

        async def ended(workload_id: str) -> bool:
            return (await client.state(workload_id)).ended

        for _, workload_id in client.ids:
            await until(partial(ended, workload_id), max(1.0, give_up - time.monotonic()))
        for _, workload_id in client.ids:
            types = [event.envelope.type for event in await client.log.history("a", workload_id)]
            assert sum(kind in ("completed", "failed", "killed") for kind in types) == 1, types
            outcome = (await client.state(workload_id)).outcome
            assert outcome is not None
            assert outcome.reason in (None, Reason.OUTPUT_LIMIT), outcome
            lines = await all_lines(bus, workload_id)
            assert [line.seq for line in lines] == list(range(1, len(lines) + 1))
            assert outcome.last_line == len(lines), (types, lines[-2:])
