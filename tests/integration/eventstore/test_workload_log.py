"""What an event log promises, of the one on JetStream and of the one in memory alike."""

import asyncio

import pytest

from support.eventlog import TENANT, end, schedule, start, submit
from support.nats import NatsServer
from vulcan_contracts.commands import Delete, RequestKill
from vulcan_contracts.errors import IdempotencyMismatch, IllegalTransition, NotYours, UnknownWorkload
from vulcan_contracts.ids import new_workload_id
from vulcan_eventstore.connection import Bus
from vulcan_eventstore.memory_log import MemoryWorkloadLog
from vulcan_eventstore.workload_log import EventLog, WorkloadLog


@pytest.fixture(params=["jetstream", "memory"])
def log(request: pytest.FixtureRequest) -> EventLog:
    if request.param == "memory":
        return MemoryWorkloadLog()
    bus: Bus = request.getfixturevalue("bus")
    return WorkloadLog(bus)


async def test_a_workload_from_submit_to_its_end(log: EventLog) -> None:
    workload = new_workload_id()
    submitted = await log.execute(TENANT, workload, submit(), actor="user:k")
    scheduled = await log.execute(TENANT, workload, schedule(), actor="scheduler", known=submitted.tracked)
    started = await log.execute(TENANT, workload, start(), actor="executor:node-1", known=scheduled.tracked)
    ended = await log.execute(TENANT, workload, end(), actor="executor:node-1", known=started.tracked)

    assert ended.tracked.state.state == "completed"
    history = await log.history(TENANT, workload)
    assert [event.envelope.type for event in history] == ["submitted", "scheduled", "started", "completed"]
    assert [event.envelope.version for event in history] == [1, 2, 3, 4]
    assert [event.envelope.actor for event in history][:2] == ["user:k", "scheduler"]
    assert [event.seq for event in history] == sorted(event.seq for event in history)
    assert ended.event == history[-1]
    assert await log.load(TENANT, workload) == ended.tracked


async def test_an_unknown_workload_is_none_and_refuses(log: EventLog) -> None:
    workload = new_workload_id()
    assert await log.load(TENANT, workload) is None
    assert await log.history(TENANT, workload) == []
    with pytest.raises(UnknownWorkload):
        await log.execute(TENANT, workload, RequestKill(), actor="user:k")


async def test_another_tenant_sees_nothing(log: EventLog) -> None:
    workload = new_workload_id()
    await log.execute(TENANT, workload, submit(), actor="user:k")
    assert await log.load("other", workload) is None
    with pytest.raises(UnknownWorkload):
        await log.execute("other", workload, RequestKill(), actor="user:k")


async def test_a_second_submit_is_harmless_or_refused(log: EventLog) -> None:
    workload = new_workload_id()
    first = await log.execute(TENANT, workload, submit("same"), actor="user:k")
    again = await log.execute(TENANT, workload, submit("same"), actor="user:k")
    assert again.event is None
    assert again.tracked == first.tracked
    with pytest.raises(IdempotencyMismatch):
        await log.execute(TENANT, workload, submit("other"), actor="user:k")


async def test_history_is_whole_when_types_repeat(log: EventLog) -> None:
    workload = new_workload_id()
    tracked = (await log.execute(TENANT, workload, submit(), actor="user:k")).tracked
    for number in range(5):
        command = schedule(node=f"node-{number}")
        tracked = (await log.execute(TENANT, workload, command, actor="scheduler", known=tracked)).tracked
    history = await log.history(TENANT, workload)
    assert [event.envelope.version for event in history] == [1, 2, 3, 4, 5, 6]
    assert await log.load(TENANT, workload) == tracked


async def test_a_stale_state_at_hand_is_harmless(log: EventLog) -> None:
    workload = new_workload_id()
    stale = (await log.execute(TENANT, workload, submit(), actor="user:k")).tracked
    await log.execute(TENANT, workload, schedule(), actor="scheduler")
    # The stale state says "not scheduled", so on it alone this start would be refused.
    started = await log.execute(TENANT, workload, start(), actor="executor:node-1", known=stale)
    assert started.tracked.state.state == "running"
    # On the stale state this would be a kill of a pending workload; what it runs means a request.
    killed = await log.execute(TENANT, workload, RequestKill(), actor="user:k", known=stale)
    assert killed.tracked.state.state == "running"
    assert killed.tracked.state.kill_requested


async def test_refusals_leave_no_event(log: EventLog) -> None:
    workload = new_workload_id()
    await log.execute(TENANT, workload, submit(), actor="user:k")
    await log.execute(TENANT, workload, schedule(), actor="scheduler")
    with pytest.raises(NotYours):
        await log.execute(TENANT, workload, start(incarnation="in_2"), actor="executor:node-1")
    await log.execute(TENANT, workload, start(), actor="executor:node-1")
    await log.execute(TENANT, workload, end(), actor="executor:node-1")
    with pytest.raises(IllegalTransition):
        await log.execute(TENANT, workload, end(), actor="executor:node-1")
    assert len(await log.history(TENANT, workload)) == 4


async def test_of_many_at_once_one_wins(log: EventLog) -> None:
    workload = new_workload_id()
    await log.execute(TENANT, workload, submit(), actor="user:k")
    nodes = [f"node-{number}" for number in range(6)]
    await log.execute(TENANT, workload, schedule(), actor="scheduler")
    tracked = (await log.execute(TENANT, workload, start(), actor="executor:node-1")).tracked

    ends = [log.execute(TENANT, workload, end(), actor=f"executor:{node}", known=tracked) for node in nodes]
    results = await asyncio.gather(*ends, return_exceptions=True)
    assert sum(not isinstance(result, BaseException) for result in results) == 1
    assert sum(isinstance(result, IllegalTransition) for result in results) == 5
    assert len(await log.history(TENANT, workload)) == 4


async def test_writers_that_do_not_exclude_each_other_all_get_through(log: EventLog) -> None:
    workload = new_workload_id()
    tracked = (await log.execute(TENANT, workload, submit(), actor="user:k")).tracked
    moves = [
        log.execute(TENANT, workload, schedule(node=f"node-{number}"), actor="scheduler", known=tracked)
        for number in range(8)
    ]
    results = await asyncio.gather(*moves)
    history = await log.history(TENANT, workload)
    assert [event.envelope.version for event in history] == list(range(1, 10))
    events = [result.event for result in results if result.event is not None]
    assert len(events) == 8
    assert {event.envelope.id for event in events} == {event.envelope.id for event in history[1:]}


async def test_the_same_submit_from_many_sides_is_one_workload(log: EventLog) -> None:
    workload = new_workload_id()
    results = await asyncio.gather(*(log.execute(TENANT, workload, submit("same"), actor="user:k") for _ in range(6)))
    assert sum(result.event is not None for result in results) == 1
    assert {result.tracked.seq for result in results} == {results[0].tracked.seq}


async def test_delete_hides_and_repeats(log: EventLog) -> None:
    workload = new_workload_id()
    await log.execute(TENANT, workload, submit(), actor="user:k")
    await log.execute(TENANT, workload, RequestKill(), actor="user:k")
    deleted = await log.execute(TENANT, workload, Delete(), actor="user:k")
    assert deleted.tracked.state.deleted
    assert (await log.execute(TENANT, workload, Delete(), actor="user:k")).event is None


async def test_all_survives_a_restart_of_the_server(nats_server: NatsServer, bus: Bus) -> None:
    log = WorkloadLog(bus)
    workload = new_workload_id()
    submitted = await log.execute(TENANT, workload, submit(), actor="user:k")
    await nats_server.bounce()
    await WorkloadLog(bus).execute(TENANT, workload, schedule(), actor="scheduler", known=submitted.tracked)
    assert [event.envelope.type for event in await log.history(TENANT, workload)] == ["submitted", "scheduled"]
