import asyncio

import pytest

from vulcan_contracts.nodes import Capacity
from vulcan_sandbox.room import Room


def part(cpus: float = 1, memory_mb: int = 100) -> Capacity:
    return Capacity(cpus=cpus, memory_mb=memory_mb, slots=1)


@pytest.fixture
def room() -> Room:
    return Room(lambda: Capacity(cpus=4, memory_mb=1000, slots=5))


async def test_counts_slots_memory_and_cores(room: Room) -> None:
    places = [room.ask(part(0.1, 300)) for _ in range(3)]
    assert all(place.turn.done() for place in places)
    assert room.used == Capacity(cpus=0.3, memory_mb=900, slots=3)
    assert not room.ask(part(0.1, 300)).turn.done()


async def test_fractions_of_cores_add_up(room: Room) -> None:
    for _ in range(5):
        assert room.ask(part(0.8, 1)).turn.done()
    assert room.free_slots == 0


async def test_no_more_is_asked_for_while_one_waits(room: Room) -> None:
    assert room.free_slots == 5
    big = room.ask(part(1, 900))
    assert room.free_slots == 4
    waiting = room.ask(part(1, 200))
    assert room.free_slots == 0
    big.give_back()
    await asyncio.wait_for(waiting.granted(), 1)
    assert room.free_slots == 4


async def test_first_come_first_served(room: Room) -> None:
    held = room.ask(part(1, 600))
    big, small = room.ask(part(1, 1000)), room.ask(part(1, 100))
    assert not small.turn.done(), "a small one must not starve a big one"
    held.give_back()
    assert big.turn.done()
    assert not small.turn.done()
    big.give_back()
    assert small.turn.done()


async def test_leaving_the_line_lets_others_in(room: Room) -> None:
    held = room.ask(part(1, 600))
    big, small = room.ask(part(1, 1000)), room.ask(part(1, 100))
    big.give_back()
    assert big.turn.cancelled()
    assert small.turn.done()
    for place in (held, small, small, big):
        place.give_back()
    assert room.used == Capacity(cpus=0, memory_mb=0, slots=0)


async def test_full_in_any_way_is_full(room: Room) -> None:
    first = room.ask(part(0.1, 1000))
    assert room.free_slots == 0
    first.give_back()
    room.ask(part(4, 1))
    assert room.free_slots == 0


async def test_what_can_never_fit(room: Room) -> None:
    assert room.could_ever_hold(part(4, 1000))
    assert not room.could_ever_hold(part(5, 1))
    assert not room.could_ever_hold(part(1, 1001))


async def test_says_when_it_changed() -> None:
    changes: list[int] = []
    room = Room(lambda: Capacity(cpus=4, memory_mb=1000, slots=5), lambda: changes.append(1))
    place = room.ask(part())
    changes.clear()
    place.give_back()
    assert changes
