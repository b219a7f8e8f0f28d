"""Pages of the event log across workloads."""

from collections.abc import AsyncIterator

import msgspec
import pytest
import pytest_asyncio

from support.eventlog import TENANT, schedule, submit
from vulcan_contracts import subjects
from vulcan_contracts.ids import new_workload_id
from vulcan_eventstore import jetstream
from vulcan_eventstore.connection import Bus
from vulcan_eventstore.event_reader import EventReader
from vulcan_eventstore.workload_log import WorkloadLog


@pytest_asyncio.fixture(params=[1, 3], ids="of {}".format)
async def replicated(bus: Bus, request: pytest.FixtureRequest) -> AsyncIterator[Bus]:
    """A connection that takes the streams to have so many replicas, any of which may answer."""
    settings = msgspec.structs.replace(bus.settings, replicas=request.param)
    async with await Bus.connect(settings, name="reader") as connection:
        yield connection


async def test_pages_of_what_matches(bus: Bus, replicated: Bus) -> None:
    log = WorkloadLog(bus)
    for tenant in (TENANT, "other", TENANT):
        workload = new_workload_id()
        await log.execute(tenant, workload, submit(), actor="user:k")
        await log.execute(tenant, workload, schedule(), actor="scheduler")
    reader, mine = EventReader(replicated), subjects.tenant_events(TENANT)
    first = await reader.read(mine, after_seq=0, limit=3)
    assert ([event.seq for event in first.events], first.position, first.more) == ([1, 2, 5], 5, True)
    rest = await reader.read(mine, after_seq=first.position, limit=3)
    assert ([event.seq for event in rest.events], rest.position, rest.more) == ([6], 6, False)
    nothing = await reader.read(mine, after_seq=6, limit=3)
    assert (nothing.events, nothing.position, nothing.more) == ([], 6, False)
    assert await reader.newest(mine) == 6
    assert await reader.newest(subjects.tenant_events("other")) == 4
    assert await reader.newest(subjects.tenant_events("nobody")) == 0


async def test_what_is_no_event_moves_the_position_only(bus: Bus) -> None:
    await jetstream.publish(bus, subjects.event(TENANT, "wl_x", "submitted"), b"\xff")
    page = await EventReader(bus).read(subjects.ALL_EVENTS, after_seq=0, limit=10)
    assert (page.events, page.position, page.more) == ([], 1, False)
