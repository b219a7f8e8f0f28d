"""How much of the node is taken: slots, memory and cores, given out in the order of asking."""

import asyncio
from collections import deque
from collections.abc import Callable

from vulcan_contracts.nodes import Capacity
from vulcan_contracts.spec import Resources


def demand(resources: Resources) -> Capacity:
    """What one run takes of a node."""
    return Capacity(cpus=resources.cpus, memory_mb=resources.memory_mb, slots=1)


class Room:
    """The node's capacity minus what its runs hold. First come, first served, so that a big run is not starved."""

    def __init__(self, capacity: Callable[[], Capacity]) -> None:
        self._capacity = capacity
        self._taken: list[Capacity] = []
        self._waiting: deque[tuple[Capacity, asyncio.Future[None]]] = deque()

    @property
    def used(self) -> Capacity:
        """What is taken now."""
        return Capacity(
            cpus=round(sum(part.cpus for part in self._taken), 6),
            memory_mb=sum(part.memory_mb for part in self._taken),
            slots=len(self._taken),
        )

    @property
    def free_slots(self) -> int:
        """How many more runs could be taken on, were they small: never below 0."""
        return max(0, self._capacity().slots - len(self._taken) - len(self._waiting))

    def could_ever_hold(self, part: Capacity) -> bool:
        """False if not even the empty node has this much."""
        return _fits(part, Capacity(cpus=0, memory_mb=0, slots=0), self._capacity())

    async def take(self, part: Capacity) -> None:
        """Wait until there is room for this, and take it. Give it back with `release`."""
        if not self._waiting and _fits(part, self.used, self._capacity()):
            self._taken.append(part)
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (part, turn)
        self._waiting.append(entry)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._taken.remove(part)
            else:
                self._waiting.remove(entry)
            self._admit()
            raise

    def release(self, part: Capacity) -> None:
        """Give back what was taken."""
        self._taken.remove(part)
        self._admit()

    def _admit(self) -> None:
        while self._waiting:
            part, turn = self._waiting[0]
            if not _fits(part, self.used, self._capacity()):
                return
            self._waiting.popleft()
            self._taken.append(part)
            turn.set_result(None)


def _fits(part: Capacity, used: Capacity, capacity: Capacity) -> bool:
    slack = 1e-6  # cores are sums of fractions
    return (
        used.slots + part.slots <= capacity.slots
        and used.memory_mb + part.memory_mb <= capacity.memory_mb
        and used.cpus + part.cpus <= capacity.cpus + slack
    )
