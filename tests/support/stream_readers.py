"""Clients of the gateway's streams: each reads, may pause, breaks off and comes back with the last id that it saw."""

import asyncio
import re
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from support.quick_time import QuickLoop

Body = AsyncGenerator[bytes, None]
_FRAME = re.compile(rb"(?:id: (\d+)\n)?event: ([a-z_]+)\ndata: [^\n]*\n\n|: keep-alive\n\n|retry: \d+\n\n")


class StreamReader:
    """Gets a body from `open_body`, called with the last id it has; `got` is every id in the order in which it came.

    It can be the outlet of the body as well: the short way to it is open unless it stalls.
    """

    def __init__(self, loop: QuickLoop, open_body: Callable[[int], Body]) -> None:
        self.got: list[int] = []
        self.done = False
        self._loop = loop
        self._open = open_body
        self._may_read = asyncio.Event()
        self._may_read.set()
        self._handed = False
        self._task: asyncio.Task[None] | None = None

    def connect(self, body: Body | None = None) -> None:
        """Read on from the last id, or from this body."""
        self._handed = False
        last_id = self.got[-1] if self.got else 0
        self._task = self._loop.task(self._read(self._open(last_id) if body is None else body))

    def connected(self) -> bool:
        """False after an end without `done`; raises what went wrong in the body."""
        if self._task is None:
            return False
        if not self._task.done():
            return True
        self._task.result()
        return False

    def disconnect(self) -> None:
        """Go away."""
        if self._task is not None:
            task, self._task = self._task, None
            self._loop.end(task)

    def pause(self, *, paused: bool) -> None:
        """Take nothing for now, or go on."""
        (self._may_read.clear if paused else self._may_read.set)()

    def break_off(self, lost: int) -> None:
        """The connection breaks, and what was sent last did not come through any more, nor did the end."""
        self.disconnect()
        self.done = False
        if lost:
            del self.got[-lost:]

    def write(self, chunk: bytes) -> bool:
        """See `Outlet`."""
        if self._task is None or self._handed or not self._may_read.is_set():
            return False
        size, _, rest = chunk.partition(b"\r\n")
        assert len(rest) == int(size, 16) + 2
        assert rest.endswith(b"\r\n")
        self._take(rest[:-2])
        return True

    async def _read(self, body: Body) -> None:
        async with aclosing(body) as pieces:
            async for piece in pieces:
                self._handed = True
                await self._may_read.wait()
                self._handed = False
                self._take(piece)

    def _take(self, piece: bytes) -> None:
        assert not self.done, "something came after the end"
        at = 0
        for frame in _FRAME.finditer(piece):
            assert frame.start() == at, piece[at:]
            at = frame.end()
            if frame[1]:
                self.got.append(int(frame[1]))
            elif frame[2]:
                assert frame[2] == b"done"
                self.done = True
        assert at == len(piece), piece[at:]
