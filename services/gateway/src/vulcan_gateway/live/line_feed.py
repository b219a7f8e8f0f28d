"""A reader of one workload, to which lines are written as they are heard, without waking its task for each.

That is possible while the reader has all lines before them and awaits the next: it says so with `follow`. Anything else
(a gap, an event, a client that reads too slowly) ends the state, goes into the buffer and is for the task to judge.
"""

import asyncio
from typing import Protocol

from vulcan_gateway.live.feed import Feed
from vulcan_gateway.live.heard import Heard, LiveLines


class Outlet(Protocol):
    """Where a reader's lines go."""

    def write(self, chunk: bytes) -> bool:
        """Write at once, or say that it cannot be now."""


class LineFeed(Feed[Heard]):
    """A bounded buffer with a way past it."""

    __slots__ = ("_following", "_outlet", "_position", "_written_at_s")

    def __init__(self, limit: int, outlet: Outlet | None = None) -> None:
        super().__init__(limit)
        self._outlet = outlet
        self._following = False
        self._position = 0
        self._written_at_s = 0.0

    def deliver(self, lines: LiveLines, now_s: float) -> None:
        """Write lines straight to a reader that awaits just these, else put them into its buffer."""
        if (
            self._following
            and lines.first == self._position + 1
            and self._outlet is not None
            and self._outlet.write(lines.chunk)
        ):
            self._position = lines.last
            self._written_at_s = now_s
        else:
            self.offer(lines, lines.size_bytes)

    def offer(self, item: Heard, weight: int) -> None:
        """As `Feed`; the next lines have to wait behind it."""
        self._following = False
        super().offer(item, weight)

    def miss(self) -> None:
        """As `Feed`."""
        self._following = False
        super().miss()

    def close(self) -> None:
        """As `Feed`."""
        self._following = False
        super().close()

    async def follow(self, position: int, silence_s: float) -> tuple[int, bool]:
        """Let the lines behind `position` be written as they come, until something else has to be looked at.

        Returns:
            the last line that the reader has now; and whether there is something to take, as against nothing at all,
            not a line, for `silence_s`.
        """
        loop = asyncio.get_running_loop()
        self._position = position
        self._written_at_s = loop.time()
        self._following = self.empty
        try:
            while not await self.wait(max(0.0, self._written_at_s + silence_s - loop.time())):
                if self._written_at_s + silence_s <= loop.time():
                    return self._position, False
            return self._position, True
        finally:
            self._following = False
