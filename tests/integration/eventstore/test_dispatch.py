"""The queue of a node: never more than asked for, and again what was not done."""

import asyncio

import pytest

from support.eventlog import TENANT, submit
from support.nats import NatsServer
from vulcan_contracts.dispatch import Assignment
from vulcan_contracts.ids import new_workload_id
from vulcan_eventstore import jetstream
from vulcan_eventstore.connection import Bus
from vulcan_eventstore.dispatch import Claim, Claims, ClaimSettings, Dispatcher
from vulcan_eventstore.errors import BusClosedError
from vulcan_eventstore.memory_log import MemoryWorkloadLog

_NODE = "node-1"


async def _assignments(count: int) -> list[Assignment]:
    log = MemoryWorkloadLog()
    tracked = [(await log.execute(TENANT, new_workload_id(), submit(), actor="user:k")).tracked for _ in range(count)]
    return [Assignment(workload=each.state, seq=each.seq) for each in tracked]


def _seqs(claims: list[Claim]) -> list[int]:
    return [claim.assignment.seq for claim in claims]


async def test_in_order_and_never_more_than_asked_for(bus: Bus) -> None:
    offered = await _assignments(5)
    dispatcher = Dispatcher(bus)
    claims = await Claims.open(bus, _NODE)
    for assignment in offered:
        await dispatcher.offer(_NODE, assignment)
    first = await claims.take(2, 5.0)
    assert [claim.assignment for claim in first] == offered[:2]
    assert _seqs(await claims.take(1, 5.0)) == [3]
    assert _seqs(await claims.take(10, 5.0)) == [4, 5]


async def test_waits_for_one_and_returns_with_it(bus: Bus) -> None:
    claims = await Claims.open(bus, _NODE)
    waiting = asyncio.create_task(claims.take(4, 30.0))
    await asyncio.sleep(0.1)
    (assignment, other) = await _assignments(2)
    await Dispatcher(bus).offer("node-2", other)
    await Dispatcher(bus).offer(_NODE, assignment)
    assert _seqs(await waiting) == [1]
    assert await claims.take(4, 0.1) == []


async def test_offered_twice_is_queued_once(bus: Bus) -> None:
    (assignment,) = await _assignments(1)
    await Dispatcher(bus).offer(_NODE, assignment)
    await Dispatcher(bus).offer(_NODE, assignment)
    claims = await Claims.open(bus, _NODE)
    assert len(await claims.take(4, 1.0)) == 1
    assert await claims.take(4, 0.1) == []


async def test_what_is_not_done_comes_again(bus: Bus) -> None:
    dispatcher = Dispatcher(bus)
    for assignment in await _assignments(2):
        await dispatcher.offer(_NODE, assignment)
    claims = await Claims.open(bus, _NODE, ClaimSettings(redeliver_after_s=3.0))
    done, left = await claims.take(2, 5.0)
    await done.done()
    assert _seqs(await claims.take(2, 20.0)) == _seqs([left])


async def test_what_is_put_back_comes_at_once(bus: Bus) -> None:
    (assignment,) = await _assignments(1)
    await Dispatcher(bus).offer(_NODE, assignment)
    claims = await Claims.open(bus, _NODE)
    (claim,) = await claims.take(1, 5.0)
    await claim.put_back()
    assert _seqs(await claims.take(1, 5.0)) == [1]


async def test_a_new_executor_finds_its_nodes_queue(bus: Bus) -> None:
    first = await Claims.open(bus, _NODE)
    await first.close()
    (assignment,) = await _assignments(1)
    await Dispatcher(bus).offer(_NODE, assignment)
    second = await Claims.open(bus, _NODE)
    assert _seqs(await second.take(1, 5.0)) == [1]


async def test_a_take_given_up_claims_nothing(bus: Bus) -> None:
    claims = await Claims.open(bus, _NODE, ClaimSettings(redeliver_after_s=3.0))
    waiting = asyncio.create_task(claims.take(1, 30.0))
    await asyncio.sleep(0.1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    (assignment,) = await _assignments(1)
    await Dispatcher(bus).offer(_NODE, assignment)
    assert _seqs(await claims.take(1, 20.0)) == [1]
    assert await claims.take(1, 0.1) == []


async def test_withdrawn_is_gone(bus: Bus) -> None:
    (assignment,) = await _assignments(1)
    dispatcher = Dispatcher(bus)
    await dispatcher.offer(_NODE, assignment)
    await dispatcher.withdraw(_NODE)
    claims = await Claims.open(bus, _NODE)
    assert await claims.take(1, 0.1) == []


async def test_both_sides_outlive_the_server(nats_server: NatsServer, bus: Bus) -> None:
    dispatcher = Dispatcher(bus)
    claims = await Claims.open(bus, _NODE)
    (assignment,) = await _assignments(1)
    await dispatcher.withdraw(_NODE)
    waiting = asyncio.create_task(claims.take(1, 30.0))
    await asyncio.sleep(0.1)
    await nats_server.bounce()
    assert await waiting == []
    await bus.wait_connected(10.0)
    await dispatcher.withdraw(_NODE)  # the queues died with the server: nothing to withdraw
    await dispatcher.offer(_NODE, assignment)
    taken: list[Claim] = []
    async with asyncio.timeout(10.0):
        while not taken:
            taken = await claims.take(1, 1.0)
    assert _seqs(taken) == [1]


async def test_an_executor_that_comes_first_makes_the_queue(nats_server: NatsServer, bus: Bus) -> None:
    claims = await Claims.open(bus, _NODE)
    await nats_server.bounce()
    assert await claims.take(1, 1.0) == []
    assert await claims.take(1, 0.2) == []
    (assignment,) = await _assignments(1)
    await Dispatcher(bus).offer(_NODE, assignment)
    assert _seqs(await claims.take(1, 5.0)) == [1]


async def test_what_is_no_assignment_blocks_nobody(bus: Bus) -> None:
    await jetstream.publish(bus, f"dispatch.{_NODE}", b"\xff")
    (assignment,) = await _assignments(1)
    await Dispatcher(bus).offer(_NODE, assignment)
    claims = await Claims.open(bus, _NODE)
    assert _seqs(await claims.take(2, 5.0)) == [1]


async def test_a_closed_connection_is_said(bus: Bus) -> None:
    claims = await Claims.open(bus, _NODE)
    waiting = asyncio.create_task(claims.take(1, 30.0))
    await asyncio.sleep(0.05)
    await bus.close()
    with pytest.raises(BusClosedError):
        await waiting
