"""Readers of server-sent events in a process of their own: thousands of connections, of which only frames are counted.

`python -m bench.sse_readers` reads orders as JSON lines. It must not be what is measured: no HTTP client, no event
loop of Python's, nothing kept of what was read but how many frames it was.
"""

import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import msgspec
from msgspec import Struct

from bench.processes import other_cores

_FRAME_END: Final = b"}\n\n"
_OPENING: Final = b"retry: 1000\n\n"
_AT_ONCE: Final = 100
_BUFFER_BYTES: Final = 256 * 1024
_TIMEOUT_S: Final = 50.0


class Connect(Struct, tag=True):
    """Open `count` connections and send `request` on each; answered when each has the stream's opening."""

    port: int
    request: bytes
    count: int


class Expect(Struct, tag=True):
    """Read until every connection has got `frames` more; answered then, with how many seconds it took."""

    frames: int


Order = Connect | Expect


class _Reader:
    """One connection."""

    def __init__(self, port: int, request: bytes) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT_S)
        self.socket.sendall(request)
        self.frames = 0
        self.left = b""

    def opened(self) -> None:
        while _OPENING not in self.left:
            piece = self.socket.recv(4096)
            if not piece or not (self.left + piece).startswith(b"HTTP/1.1 200 "):
                raise RuntimeError(f"no stream: {(self.left + piece).decode()}")
            self.left += piece
        self.left = b""
        self.socket.settimeout(0)


class _Readers:
    def __init__(self) -> None:
        self._readers: dict[int, _Reader] = {}
        self._epoll = select.epoll()
        self._buffer = bytearray(_BUFFER_BYTES)

    def connect(self, order: Connect) -> None:
        for first in range(0, order.count, _AT_ONCE):
            new = [_Reader(order.port, order.request) for _ in range(min(_AT_ONCE, order.count - first))]
            for reader in new:
                reader.opened()
                self._readers[reader.socket.fileno()] = reader
                self._epoll.register(reader.socket.fileno(), select.EPOLLIN)

    def expect(self, frames: int) -> float:
        """Each has to get exactly so many: nothing is lost, nothing comes twice."""
        started = time.perf_counter()
        to_come = frames * len(self._readers)
        for reader in self._readers.values():
            reader.frames = 0
        while to_come > 0:
            found = self._epoll.poll(_TIMEOUT_S)
            if not found:
                raise TimeoutError(f"{to_come} frames did not come")
            for number, _ in found:
                to_come -= self._read(self._readers[number])
        if any(reader.frames != frames for reader in self._readers.values()):
            raise RuntimeError("some reader got more or less than it should")
        return time.perf_counter() - started

    def _read(self, reader: _Reader) -> int:
        size = reader.socket.recv_into(self._buffer)
        if size == 0:
            raise ConnectionError("a stream has ended")
        found = self._buffer.count(_FRAME_END, 0, size)
        end = bytes(self._buffer[max(0, size - 2) : size])
        if reader.left:  # a frame's end may be in two pieces
            found += (reader.left + self._buffer[: min(2, size)]).count(_FRAME_END)
        reader.left = end if len(end) == 2 else (reader.left + end)[-2:]
        reader.frames += found
        return found


class Readers:
    """The other end of the process."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    def order(self, order: Order) -> None:
        """Begin; `answer` says when it is done."""
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(order) + b"\n")
        self._process.stdin.flush()

    def answer(self) -> float:
        """How many seconds the order took."""
        assert self._process.stdout is not None
        took = self._process.stdout.readline()
        assert took, "the readers failed"
        return float(took)


@contextmanager
def readers(port: int, request: bytes, count: int) -> Iterator[Readers]:
    """The process, connected, on the cores that the servers do not have."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.sse_readers"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    os.sched_setaffinity(process.pid, other_cores())
    made = Readers(process)
    try:
        made.order(Connect(port, request, count))
        made.answer()
        yield made
    finally:
        process.kill()
        process.wait(10)


def main() -> None:
    """The process."""
    all_readers = _Readers()
    for line in sys.stdin.buffer:
        order = msgspec.json.decode(line, type=Order)
        took = 0.0
        if isinstance(order, Connect):
            all_readers.connect(order)
        else:
            took = all_readers.expect(order.frames)
        sys.stdout.write(f"{took}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
