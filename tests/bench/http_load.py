"""A light HTTP client in a process of its own: so many requests over so many kept connections, one at a time on each.

`python -m bench.http_load` reads orders as JSON lines and answers each with the seconds that it took. Beyond the bytes
that tell where an answer ends and whether it is a 202, it looks at nothing: it must not be what is measured.
"""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, cast

import msgspec
import uvloop
from msgspec import Struct

from bench.processes import other_cores

_EXPECTED: Final = b"HTTP/1.1 202 "
_LENGTH: Final = b"content-length: "


class Order(Struct):
    """Send `request`, whole as it goes over the wire, `count` times over `connections`."""

    port: int
    request: bytes
    connections: int
    count: int


class _Work:
    def __init__(self, order: Order) -> None:
        self.request = order.request
        self.to_send = order.count
        self.to_come = order.count
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def fail(self, why: str) -> None:
        if not self.done.done():
            self.done.set_exception(RuntimeError(why))


class _Connection(asyncio.Protocol):
    """Sends the next request when the answer to the one before is there."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._work: _Work | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by name

    def begin(self, work: _Work) -> None:
        self._work = work
        self._next(work)

    def _next(self, work: _Work) -> None:
        if work.to_send > 0 and self._transport is not None:
            work.to_send -= 1
            self._transport.write(work.request)

    def data_received(self, data: bytes) -> None:
        work = self._work
        assert work is not None
        self._received += data
        head_end = self._received.find(b"\r\n\r\n")
        if head_end < 0:
            return
        at = self._received.find(_LENGTH, 0, head_end)
        length = int(self._received[at + len(_LENGTH) : self._received.index(b"\r", at)])
        if len(self._received) < head_end + 4 + length:
            return
        if not self._received.startswith(_EXPECTED):
            work.fail(self._received.decode())
            return
        self._received = b""
        work.to_come -= 1
        if work.to_come == 0:
            work.done.set_result(None)
        self._next(work)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._work is not None:
            self._work.fail(f"the server closed the connection: {exc}")

    def close(self) -> None:
        self._work = None
        if self._transport is not None:
            self._transport.close()


async def _send(order: Order) -> float:
    loop = asyncio.get_running_loop()
    made = [(await loop.create_connection(_Connection, "127.0.0.1", order.port))[1] for _ in range(order.connections)]
    work = _Work(order)
    started = time.perf_counter()
    for connection in made:
        connection.begin(work)
    await asyncio.wait_for(work.done, 50)
    took = time.perf_counter() - started
    for connection in made:
        connection.close()
    return took


class Client:
    """The other end of the process."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    def seconds(self, order: Order) -> float:
        """How long the order took."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(msgspec.json.encode(order) + b"\n")
        self._process.stdin.flush()
        took = self._process.stdout.readline()
        assert took, "the client failed"
        return float(took)


@contextmanager
def client() -> Iterator[Client]:
    """The process, on the cores that the servers do not have."""
    process = subprocess.Popen([sys.executable, "-m", "bench.http_load"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    os.sched_setaffinity(process.pid, other_cores())
    try:
        yield Client(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(10)


def main() -> None:
    """The process."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for line in sys.stdin.buffer:
            took = runner.run(_send(msgspec.json.decode(line, type=Order)))
            sys.stdout.write(f"{took}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
