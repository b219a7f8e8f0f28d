"""A gateway alone, as a process, on a NATS of its own that syncs every message: what the benchmarks of it start."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from bench.processes import Server, other_cores, server
from support.gateway import World
from support.nats import NatsServer
from vulcan_contracts.tenants import new_token
from vulcan_eventstore.connection import Bus


class GatewayProcess:
    """Its server, its first key, and the NATS behind it."""

    def __init__(self, process: Server, token: str, nats: NatsServer) -> None:
        self.server = process
        self.token = token
        self.nats = nats


@contextmanager
def gateway_process(folder: Path, **settings: str) -> Iterator[GatewayProcess]:
    """No Postgres, no scheduler, no executor: what it does with a request, it does alone."""
    token, key_file = new_token(), folder / "key"
    key_file.write_text(token)
    nats = NatsServer(folder / "nats")
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, other_cores())
    try:
        nats.start()
    finally:
        os.sched_setaffinity(0, before)
    environment = {
        "VULCAN_LISTEN": "127.0.0.1:{port}",
        "VULCAN_NATS_URL": nats.url,
        "VULCAN_BOOTSTRAP_KEY_FILE": str(key_file),
        "VULCAN_LOG_FORMAT": "json",
        "VULCAN_LIMITS_MAX_WAITING": str(10_000_000),
        **settings,
    }
    try:
        with server("vulcan_gateway", folder / "gateway.log", environment) as process:
            yield GatewayProcess(process, token, nats)
    finally:
        nats.kill()


@contextmanager
def world_behind(gateway: GatewayProcess) -> Iterator["Behind"]:
    """What plays scheduler and executor; a node has said that it is there."""
    with asyncio.Runner() as runner:
        bus = runner.run(Bus.connect(gateway.nats.settings, name="bench"))
        try:
            world = World(bus)
            runner.run(world.beat())
            runner.run(bus.settle())
            yield Behind(world, runner)
        finally:
            runner.run(bus.close())


class Behind(NamedTuple):
    """The world, and the event loop that it lives in."""

    world: World
    runner: asyncio.Runner
