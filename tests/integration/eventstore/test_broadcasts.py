"""Core messages: heard by who listens, and nothing else."""

import asyncio

import pytest

from support.nats import NatsServer
from vulcan_contracts import subjects
from vulcan_contracts.queue import ExplainRequest, Explanation, QueueSnapshot, TenantLoad
from vulcan_eventstore import broadcast
from vulcan_eventstore.connection import Bus
from vulcan_eventstore.errors import EventStoreUnavailableError

_QUESTION = ExplainRequest(tenant="acme", workload_id="wl_a")


async def test_everybody_hears_it(nats_server: NatsServer, bus: Bus) -> None:
    snapshot = QueueSnapshot(seq=7, tenants={"acme": TenantLoad(waiting=3, running=1)})
    here: list[QueueSnapshot] = []
    there: list[QueueSnapshot] = []
    async with await Bus.connect(nats_server.settings, name="other") as other:
        await broadcast.subscribe(bus, subjects.QUEUE_SNAPSHOT, QueueSnapshot, here.append)
        subscription = await broadcast.subscribe(other, subjects.QUEUE_SNAPSHOT, QueueSnapshot, there.append)
        assert await broadcast.publish(bus, subjects.QUEUE_SNAPSHOT, snapshot)
        await bus.publish(subjects.QUEUE_SNAPSHOT, b"not a snapshot")
        await bus.settle()
        await other.settle()
        assert here == there == [snapshot]
        await subscription.close()


async def test_a_question_and_its_answer(bus: Bus) -> None:
    async def answer(question: ExplainRequest) -> Explanation:
        return Explanation(pending_reason=f"{question.workload_id} waits", position=2)

    server = await broadcast.serve(bus, subjects.EXPLAIN_REQUEST, ExplainRequest, answer)
    reply = await broadcast.request(bus, subjects.EXPLAIN_REQUEST, _QUESTION, Explanation)
    assert reply == Explanation(pending_reason="wl_a waits", position=2)
    with pytest.raises(EventStoreUnavailableError):
        await broadcast.request(bus, subjects.EXPLAIN_REQUEST, {"no": "question"}, Explanation, timeout_s=0.2)
    await server.close()
    with pytest.raises(EventStoreUnavailableError, match="nobody answers"):
        await broadcast.request(bus, subjects.EXPLAIN_REQUEST, _QUESTION, Explanation)


async def test_an_answer_that_takes_too_long_is_none(bus: Bus) -> None:
    async def answer(_question: ExplainRequest) -> Explanation:
        await asyncio.sleep(60)
        raise AssertionError("nobody waits that long")

    await broadcast.serve(bus, subjects.EXPLAIN_REQUEST, ExplainRequest, answer, timeout_s=0.05)
    with pytest.raises(EventStoreUnavailableError):
        await broadcast.request(bus, subjects.EXPLAIN_REQUEST, _QUESTION, Explanation, timeout_s=0.2)


async def test_away_is_not_heard_and_not_kept(nats_server: NatsServer, bus: Bus) -> None:
    heard: list[QueueSnapshot] = []
    await broadcast.subscribe(bus, subjects.QUEUE_SNAPSHOT, QueueSnapshot, heard.append)
    await asyncio.to_thread(nats_server.kill)
    async with asyncio.timeout(5.0):
        while bus.connected:  # noqa: ASYNC110 - until the connection notices
            await asyncio.sleep(0.01)
    assert not await broadcast.publish(bus, subjects.QUEUE_SNAPSHOT, QueueSnapshot(seq=1, tenants={}))
    await asyncio.to_thread(nats_server.start)
    await bus.wait_connected(10.0)
    assert await broadcast.publish(bus, subjects.QUEUE_SNAPSHOT, QueueSnapshot(seq=2, tenants={}))
    await bus.settle()
    assert [snapshot.seq for snapshot in heard] == [2]
