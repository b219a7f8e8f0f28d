"""Appends while the server is killed, frozen and away: acknowledged means stored, and stored once."""

import asyncio
import random

import msgspec
import pytest
from opentelemetry.sdk.trace import TracerProvider

from support.eventlog import TENANT, schedule, submit
from support.nats import NatsServer
from vulcan_contracts import subjects
from vulcan_contracts.events import Envelope, encode_envelope
from vulcan_contracts.ids import new_event_id, new_workload_id
from vulcan_eventstore import jetstream
from vulcan_eventstore.connection import Bus
from vulcan_eventstore.errors import BusClosedError, EventStoreUnavailableError, PayloadTooLargeError
from vulcan_eventstore.streams import StreamSettings, ensure_streams
from vulcan_eventstore.workload_log import WorkloadLog


async def _churn(log: WorkloadLog, stop: asyncio.Event) -> tuple[str, list[str]]:
    """Append to one workload until told to stop; its id and the ids of the acknowledged events."""
    workload = new_workload_id()
    executed = await log.execute(TENANT, workload, submit(), actor="user:k", deadline_s=20.0)
    acknowledged = [executed.event.envelope.id] if executed.event else []
    while not stop.is_set():
        executed = await log.execute(
            TENANT, workload, schedule(), actor="scheduler", known=executed.tracked, deadline_s=20.0
        )
        assert executed.event is not None
        acknowledged.append(executed.event.envelope.id)
    return workload, acknowledged


async def test_nothing_acknowledged_is_lost_or_doubled_when_the_server_is_killed(
    nats_server: NatsServer, bus: Bus
) -> None:
    log = WorkloadLog(bus)
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        churns = [group.create_task(_churn(log, stop)) for _ in range(12)]
        for _ in range(4):
            await asyncio.sleep(random.uniform(0.1, 0.5))
            await nats_server.bounce(away_s=random.uniform(0.0, 0.3))
        await asyncio.sleep(0.3)
        stop.set()
    total = 0
    for churn in churns:
        workload, acknowledged = churn.result()
        history = await log.history(TENANT, workload)
        assert [event.envelope.id for event in history] == acknowledged
        assert [event.envelope.version for event in history] == list(range(1, len(history) + 1))
        total += len(history)
    assert total > 100


async def test_an_append_whose_answer_came_too_late_is_stored_once(nats_server: NatsServer) -> None:
    settings = msgspec.structs.replace(nats_server.settings, request_timeout_s=0.2)
    async with await Bus.connect(settings, name="hasty") as bus:
        await ensure_streams(bus, StreamSettings())
        log = WorkloadLog(bus)
        workload = new_workload_id()
        tracked = (await log.execute(TENANT, workload, submit(), actor="user:k")).tracked
        with nats_server.frozen():
            append = asyncio.create_task(
                log.execute(TENANT, workload, schedule(), actor="scheduler", known=tracked, deadline_s=20.0)
            )
            await asyncio.sleep(1.0)
        executed = await append
        assert executed.event is not None
        assert [e.envelope.id for e in await log.history(TENANT, workload)][1:] == [executed.event.envelope.id]


async def test_an_append_waits_for_the_server_and_gives_up_at_its_deadline(nats_server: NatsServer, bus: Bus) -> None:
    log = WorkloadLog(bus)
    await asyncio.to_thread(nats_server.kill)
    append = asyncio.create_task(log.execute(TENANT, new_workload_id(), submit(), actor="user:k", deadline_s=15.0))
    with pytest.raises(EventStoreUnavailableError):
        await log.execute(TENANT, new_workload_id(), submit(), actor="user:k", deadline_s=0.3)
    assert not append.done()
    await asyncio.to_thread(nats_server.start)
    assert (await append).event is not None


async def test_a_closed_connection_is_said_at_once(bus: Bus) -> None:
    log = WorkloadLog(bus)
    await bus.close()
    with pytest.raises(BusClosedError):
        await log.execute(TENANT, new_workload_id(), submit(), actor="user:k")
    with pytest.raises(BusClosedError):
        await log.load(TENANT, new_workload_id())


async def test_a_message_over_the_limit_is_refused_and_harms_nobody(bus: Bus) -> None:
    log = WorkloadLog(bus)
    # With its headers just over the limit: the server would end the connection over this one.
    for size in (bus.max_payload_bytes - 200, bus.max_payload_bytes + 1):
        with pytest.raises(PayloadTooLargeError):
            await jetstream.publish(bus, "evt.x", b"x" * size, headers={jetstream.MSG_ID: "m" * 300})
    with pytest.raises(PayloadTooLargeError):
        await log.execute(TENANT, new_workload_id(), submit(code="x" * bus.max_payload_bytes), actor="user:k")
    assert (await log.execute(TENANT, new_workload_id(), submit(), actor="user:k")).event is not None


async def test_an_event_of_an_unknown_type_moves_only_the_version(bus: Bus) -> None:
    log = WorkloadLog(bus)
    workload = new_workload_id()
    before = (await log.execute(TENANT, workload, submit(), actor="user:k")).tracked
    envelope = Envelope(
        id=new_event_id(),
        type="snapshotted",
        workload_id=workload,
        tenant=TENANT,
        actor="scheduler",
        time=before.state.submitted_at,
        version=2,
        attempt=1,
        data=msgspec.Raw(b'{"from":"the future"}'),
    )
    await jetstream.publish(bus, subjects.event(TENANT, workload, "snapshotted"), encode_envelope(envelope))
    loaded = await log.load(TENANT, workload)
    assert loaded is not None
    assert loaded.state == msgspec.structs.replace(before.state, version=2)
    executed = await log.execute(TENANT, workload, schedule(), actor="scheduler", known=before)
    assert executed.tracked.state.version == 3


async def test_the_trace_goes_along(bus: Bus) -> None:
    log = WorkloadLog(bus)
    workload = new_workload_id()
    tracer = TracerProvider().get_tracer("test")
    with tracer.start_as_current_span("submit") as span:
        await log.execute(TENANT, workload, submit(), actor="user:k")
    await log.execute(TENANT, workload, schedule(), actor="scheduler")
    trace_id = f"{span.get_span_context().trace_id:032x}"
    stored = await jetstream.leader_last(bus, subjects.EVENTS_STREAM, subjects.event(TENANT, workload, "submitted"))
    assert stored is not None
    assert trace_id in stored.headers["traceparent"]
    history = await log.history(TENANT, workload)
    assert history[0].envelope.traceparent == stored.headers["traceparent"]
    assert history[1].envelope.traceparent is None
