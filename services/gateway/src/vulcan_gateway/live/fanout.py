"""The readers of one workload's lines, however many: each gets every line, and the rest of the process gets its turn.

A few readers are written to at once. Many take their time: they are written to in steps, between which the event loop
does other things, and after each round the loop has as much time for those as the round took. What comes meanwhile goes
out with the next round, in one write for each reader.
"""

import asyncio
from collections.abc import Iterable
from typing import Final

from vulcan_gateway.live.heard import LiveLines
from vulcan_gateway.live.line_feed import LineFeed

FEW: Final = 64
"""So many readers are written to at once."""


class Fanout:
    """Readers, and the lines that wait for the next round. All methods run on the event loop and none waits."""

    def __init__(self, *, waiting_bytes: int) -> None:
        self.feeds: set[LineFeed] = set()
        self._loop = asyncio.get_running_loop()
        self._waiting_bytes = waiting_bytes
        self._waiting: list[LiveLines] = []
        self._waiting_size = 0
        self._lines: LiveLines | None = None
        self._left: list[LineFeed] = []
        """Whom the round that is under way has not reached."""
        self._began_s = 0.0
        self._next: asyncio.Handle | None = None
        """What a round, or the pause after it, goes on with."""

    def hear(self, lines: LiveLines) -> None:
        """Give lines to every reader, now or soon."""
        if self._next is None and len(self.feeds) <= FEW:
            self._deliver(lines, self.feeds)
            return
        self._waiting.append(lines)
        self._waiting_size += lines.size_bytes
        if self._next is None:
            self._begin_round()
        elif self._waiting_size > self._waiting_bytes:
            self.flush()

    def flush(self) -> None:
        """Give what waits to every reader now, however long it takes."""
        if self._next is None:
            return
        self._next.cancel()
        self._began_s = self._loop.time()
        self._finish_round()
        while self._waiting:
            self._deliver(self._take_waiting(), self.feeds)
        self._next = self._loop.call_soon(self._pause)

    def close(self) -> None:
        """Nobody reads any more."""
        if self._next is not None:
            self._next.cancel()

    def _begin_round(self) -> None:
        self._began_s = self._loop.time()
        self._lines, self._left = self._take_waiting(), list(self.feeds)
        self._step()

    def _step(self) -> None:
        now = self._left[-FEW:]
        del self._left[-FEW:]
        self._next = self._loop.call_soon(self._step if self._left else self._pause)
        if self._lines is not None:
            self._deliver(self._lines, now)

    def _finish_round(self) -> None:
        if self._lines is not None:
            self._deliver(self._lines, self._left)
        self._lines, self._left = None, []

    def _pause(self) -> None:
        """By now the event loop has handed the round's last step to the sockets."""
        self._lines = None
        took_s = self._loop.time() - self._began_s
        self._next = self._loop.call_later(took_s, self._go_on)

    def _go_on(self) -> None:
        self._next = None
        if self._waiting:
            self._begin_round()

    def _deliver(self, lines: LiveLines, feeds: Iterable[LineFeed]) -> None:
        now_s = self._loop.time()
        for feed in feeds:
            feed.deliver(lines, now_s)

    def _take_waiting(self) -> LiveLines:
        """As many of the waiting lines as follow on one another, as one."""
        first, *rest = self._waiting
        together = [first]
        for lines in rest:
            if lines.first != together[-1].last + 1:
                break
            together.append(lines)
        del self._waiting[: len(together)]
        joined = first if len(together) == 1 else LiveLines([line for lines in together for line in lines.lines])
        self._waiting_size -= joined.size_bytes
        return joined
