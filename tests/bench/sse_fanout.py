"""Server-sent events delivered per second of one core, to 5,000 readers of one workload's log.

Ours is a gateway that hears the lines from NATS as an executor writes them; each reader is authenticated, and gets
each line once. Theirs is Starlette on uvicorn with a queue for each reader, which gets ready frames over a socket.
Both are given the same frames at the same pace. A delivery is one line at one reader; what counts is the CPU time that
the server process took for it, that of the kernel's writing included.
"""

import asyncio
import resource
import socket
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

import httpx

from bench.gateway_process import Behind, GatewayProcess, gateway_process, world_behind
from bench.harness import Figure, Options, Samples, compare, interleave
from bench.processes import Server, server
from bench.sse_readers import Expect, Readers, readers
from support.gateway import INLINE
from support.nats import free_port
from vulcan_contracts.clock import utc_now
from vulcan_contracts.logs import LogLine
from vulcan_contracts.tenants import DEFAULT_TENANT
from vulcan_eventstore.log_writer import LogWriter
from vulcan_gateway.live.heard import line_frames

READERS: Final = 5000
SINGLES: Final = 2
BATCHES: Final = 6
BATCH_LINES: Final = 2
BATCH_EVERY_S: Final = 0.02
"""What the writer of a log makes of a line each 10 ms."""
_DESCRIPTORS: Final = READERS + 1000
_TEXT: Final = "2026-01-31T09:00:00Z INFO step 17 of 40 done, 1284 rows in 0.31 s"


class _Broadcaster(ABC):
    """A server with its readers."""

    def __init__(self, process: Server, listeners: Readers) -> None:
        self._process = process
        self._readers = listeners

    @abstractmethod
    async def send(self, lines: int) -> None:
        """Hand the server lines for all of its readers."""

    async def singles(self) -> float:
        """Deliveries per CPU second of lines that come one by one: the next when all have the one before."""
        before = self._process.cpu_s()
        for _ in range(SINGLES):
            self._readers.order(Expect(1))
            await self.send(1)
            await asyncio.to_thread(self._readers.answer)
        return READERS * SINGLES / (self._process.cpu_s() - before)

    async def printing(self) -> float:
        """Deliveries per CPU second of what a workload prints in a while."""
        before = self._process.cpu_s()
        self._readers.order(Expect(BATCHES * BATCH_LINES))
        for _ in range(BATCHES):
            await self.send(BATCH_LINES)
            await asyncio.sleep(BATCH_EVERY_S)
        await asyncio.to_thread(self._readers.answer)
        return READERS * BATCHES * BATCH_LINES / (self._process.cpu_s() - before)


class _Gateway(_Broadcaster):
    def __init__(self, process: Server, listeners: Readers, writer: LogWriter) -> None:
        super().__init__(process, listeners)
        self._writer = writer

    async def send(self, lines: int) -> None:
        await self._writer.write_many("stdout", [(_TEXT, False)] * lines)


class _Starlette(_Broadcaster):
    def __init__(self, process: Server, listeners: Readers, feed: socket.socket) -> None:
        super().__init__(process, listeners)
        self._feed = feed
        self._seq = 0

    async def send(self, lines: int) -> None:
        now, first = utc_now(), self._seq + 1
        self._seq += lines
        numbers = range(first, self._seq + 1)
        self._feed.sendall(line_frames([LogLine(seq=n, time=now, stream="stdout", text=_TEXT) for n in numbers]))


def figures(options: Options) -> list[Figure]:
    """Deliveries per second of one core: of a workload that goes on printing, and of lines that come one by one."""
    with ExitStack() as stack:
        stack.enter_context(_descriptors())
        gateway = stack.enter_context(
            gateway_process(options.folder, VULCAN_LIMITS_STREAMS_PER_KEY=str(READERS), VULCAN_LOG_LEVEL="warning")
        )
        behind = stack.enter_context(world_behind(gateway))
        ours = stack.enter_context(_ours(gateway, behind))
        theirs = stack.enter_context(_theirs(options))
        run = behind.runner.run
        printing = interleave(lambda: run(ours.printing()), lambda: run(theirs.printing()), samples=options.samples)
        singles = interleave(lambda: run(ours.singles()), lambda: run(theirs.singles()), samples=options.samples)
    return [
        _figure(printing, "sse-fanout", f"lines that a workload prints on and on to {READERS} readers, per core"),
        _figure(singles, "sse-fanout-singles", f"lines one by one to {READERS} readers, per core"),
    ]


def _figure(taken: Samples, identity: str, what: str) -> Figure:
    return compare(taken, identity=identity, what=what, unit="/s", goal=3.0, better="higher", quantile=50)


@contextmanager
def _ours(gateway: GatewayProcess, behind: Behind) -> Iterator[_Gateway]:
    headers = {"Authorization": f"Bearer {gateway.token}"}
    submitted = httpx.post(
        f"http://127.0.0.1:{gateway.server.port}/v1/workloads/async", json=INLINE, headers=headers, timeout=10.0
    )
    workload_id = submitted.raise_for_status().json()["id"]
    behind.runner.run(behind.world.start(DEFAULT_TENANT, workload_id))
    writer = behind.runner.run(behind.world.writer(DEFAULT_TENANT, workload_id))
    request = _get(f"/v1/workloads/{workload_id}/logs", f"Authorization: Bearer {gateway.token}\r\n")
    try:
        with readers(gateway.server.port, request, READERS) as listeners:
            yield _Gateway(gateway.server, listeners, writer)
    finally:
        behind.runner.run(writer.abandon())


@contextmanager
def _theirs(options: Options) -> Iterator[_Starlette]:
    feed_port = free_port()
    environment = {"PORT": "{port}", "FEED_PORT": str(feed_port)}
    with (
        server("bench.starlette_broadcaster", options.folder / "starlette.log", environment) as process,
        readers(process.port, _get("/events"), READERS) as listeners,
        socket.create_connection(("127.0.0.1", feed_port)) as feed,
    ):
        yield _Starlette(process, listeners, feed)


def _get(path: str, more: str = "") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n{more}\r\n".encode()


@contextmanager
def _descriptors() -> Iterator[None]:
    """Room for a descriptor for each reader, in the processes that are started meanwhile."""
    before, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before, min(_DESCRIPTORS, most)), most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (before, most))
