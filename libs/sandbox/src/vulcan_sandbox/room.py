"""How much of the node is taken: slots, memory and cores, given out in the order of asking."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from vulcan_contracts.nodes import Capacity
from vulcan_contracts.spec import Resources

_SLACK_CPUS: Final = 1e-6  # cores are sums of fractions


def demand(resources: Resources) -> Capacity:
    """What one run takes of a node."""
    return Capacity(cpus=resources.cpus, memory_mb=resources.memory_mb, slots=1)


class Place:
    """One run's part of the room: waited for, held, and given back."""

    def __init__(self, room: "Room", part: Capacity) -> None:
        self._room = room
        self.part = part
        self.turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def granted(self) -> None:
        """Wait until it is ours."""
        await self.turn

    def give_back(self) -> None:
        """Give it back, or stop waiting for it. Safe to repeat."""
        self._room.forget(self)


class Room:
    """The node's capacity minus what its runs hold. First come, first served, so that a big run is not starved."""

    def __init__(self, capacity: Callable[[], Capacity], on_change: Callable[[], None] = lambda: None) -> None:
        self._capacity = capacity
        self._on_change = on_change
        self._held: set[Place] = set()
        self._used: Capacity | None = None  # unknown since `_held` changed: it is asked for more often than it changes
        self._waiting: deque[Place] = deque()

    @property
    def used(self) -> Capacity:
        """What is taken now."""
        if self._used is None:
            self._used = Capacity(
                cpus=round(sum([place.part.cpus for place in self._held]), 6),
                memory_mb=sum([place.part.memory_mb for place in self._held]),
                slots=len(self._held),
            )
        return self._used

    @property
    def free_slots(self) -> int:
        """How many more runs to ask for: none while one waits, or while memory, cores or slots are all taken."""
        capacity, used = self._capacity(), self.used
        if self._waiting or used.memory_mb >= capacity.memory_mb or used.cpus >= capacity.cpus - _SLACK_CPUS:
            return 0
        return max(0, capacity.slots - used.slots)

    def could_ever_hold(self, part: Capacity) -> bool:
        """False if not even the empty node has this much."""
        return _fits(part, Capacity(cpus=0, memory_mb=0, slots=0), self._capacity())

    def ask(self, part: Capacity) -> Place:
        """Stand in line for this much, at once; `await place.granted()`, and give it back in every case."""
        place = Place(self, part)
        self._waiting.append(place)
        self._admit()
        return place

    def forget(self, place: Place) -> None:
        """Take a place back; `Place.give_back` calls it."""
        if place in self._held:
            self._held.remove(place)
            self._used = None
        elif place in self._waiting:
            self._waiting.remove(place)
            place.turn.cancel()
        else:
            return
        self._admit()

    def _admit(self) -> None:
        while self._waiting and _fits(self._waiting[0].part, self.used, self._capacity()):
            place = self._waiting.popleft()
            self._held.add(place)
            self._used = None
            if not place.turn.done():
                place.turn.set_result(None)
        self._on_change()


def _fits(part: Capacity, used: Capacity, capacity: Capacity) -> bool:
    return (
        used.slots + part.slots <= capacity.slots
        and used.memory_mb + part.memory_mb <= capacity.memory_mb
        and used.cpus + part.cpus <= capacity.cpus + _SLACK_CPUS
    )
