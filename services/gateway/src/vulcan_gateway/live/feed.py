"""One reader's share of what is heard live: a bounded buffer between a subscription and a connection.

A reader that is too slow loses the buffer, not the stream: it is told that it missed something and reads history.
"""

import asyncio
from collections import deque
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")


class Taken(NamedTuple, Generic[T]):
    """What came since the last time. `missed`: some of it is gone, read history."""

    items: list[T]
    missed: bool


class Feed(Generic[T]):
    """A bounded buffer; `offer` never waits, so that one slow reader holds up nobody."""

    __slots__ = ("_changed", "_closed", "_items", "_limit", "_missed", "_weight")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._items: deque[T] = deque()
        self._weight = 0
        self._missed = False
        self._closed = False
        self._changed = asyncio.Event()

    def offer(self, item: T, weight: int) -> None:
        """Put an item in; above the limit everything is dropped and counts as missed."""
        if self._weight + weight > self._limit:
            self.miss()
            return
        self._items.append(item)
        self._weight += weight
        self._changed.set()

    def miss(self) -> None:
        """Something may have been lost on the way here."""
        self._items.clear()
        self._weight = 0
        self._missed = True
        self._changed.set()

    def close(self) -> None:
        """Nothing more will come: the process is about to stop."""
        self._closed = True
        self._changed.set()

    @property
    def empty(self) -> bool:
        """True while there is nothing to take and nothing to be told."""
        return not self._changed.is_set()

    @property
    def closed(self) -> bool:
        """True once nothing more will come."""
        return self._closed

    def take(self) -> Taken[T]:
        """Everything that is in the buffer."""
        taken = Taken(list(self._items), self._missed)
        self._items.clear()
        self._weight = 0
        self._missed = False
        if not self._closed:
            self._changed.clear()
        return taken

    async def wait(self, timeout_s: float) -> bool:
        """Wait until there is something to take; False if nothing came in time."""
        if self._changed.is_set():
            return True
        try:
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()
        except TimeoutError:
            return False
        return True
