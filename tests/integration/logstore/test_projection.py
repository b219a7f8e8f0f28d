"""What is on the streams is in the tables: each event and each line exactly once, whatever is killed when."""

import asyncio
import random
from datetime import UTC, datetime

import msgspec
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from support.eventlog import TENANT, end, schedule, start, submit
from support.logstores import Logstores, World, caught_up, content, eventually, query
from support.nats import NatsServer
from support.postgres import PostgresServer
from vulcan_chassis import tracing
from vulcan_contracts import ids, subjects
from vulcan_contracts.commands import Delete, RequestKill
from vulcan_contracts.logs import LogBatch, LogLine, encode_batch
from vulcan_contracts.outcome import Outcome, RunClock
from vulcan_contracts.reasons import Reason
from vulcan_eventstore import jetstream
from vulcan_eventstore.connection import Bus

LINES = "SELECT workload_id, seq, text FROM log_lines ORDER BY workload_id, seq"


def expected_lines(runs: dict[str, int]) -> list[tuple[str, int, str]]:
    return sorted((run, number, f"line {number}") for run, lines in runs.items() for number in range(1, lines + 1))


async def test_a_workloads_life_is_a_row(logstores: Logstores, world: World, database_url: str, bus: Bus) -> None:
    service = await logstores.start(database_url)
    failed = Outcome(
        reason=Reason.EXIT_NONZERO,
        message="exit 3",
        exit_code=3,
        clock=RunClock(prepare_ms=1.5, first_output_ms=2.5, run_ms=9.0),
    )
    workload_id = await world.run(outcome=failed)
    await world.do(workload_id, Delete())
    waiting = ids.new_workload_id()
    await world.do(waiting, submit(), schedule(), RequestKill())
    await caught_up(database_url, bus)
    row = "SELECT state, reason, message, exit_code, backend, node, attempt, deleted, version, last_line, run_ms"
    assert await query(database_url, row + " FROM workloads WHERE id = $1", workload_id) == [
        ("failed", "exit_nonzero", "exit 3", 3, "v8", "node-1", 1, True, 5, 3, 9.0)
    ]
    assert await query(
        database_url, "SELECT state, reason, run_ms, total_ms IS NULL FROM workloads WHERE id = $1", waiting
    ) == [("killed", "killed_by_user", None, False)]
    assert await query(database_url, LINES) == expected_lines({workload_id: 3})
    assert service.health.failures() == {}


async def test_exactly_once_while_postgres_and_the_logstore_are_killed(
    logstores: Logstores, world: World, own_postgres: PostgresServer, bus: Bus
) -> None:
    url = own_postgres.create_database()
    process = logstores.spawn(url)
    runs: dict[str, int] = {}

    calm = asyncio.Event()

    async def produce() -> None:
        while not calm.is_set():
            runs[await world.run(lines=50)] = 50

    producing = asyncio.create_task(produce())
    chaos = random.Random(7)
    for round_number in range(8):
        await asyncio.sleep(chaos.uniform(0.1, 0.5))
        if round_number % 2:
            process.kill()
            process = logstores.spawn(url)
        else:
            await asyncio.to_thread(own_postgres.restart)
    calm.set()
    await producing
    assert len(runs) > 20
    await caught_up(url, bus)
    assert await query(url, LINES) == expected_lines(runs)
    rows = await query(url, "SELECT id, state, version, last_line FROM workloads ORDER BY id")
    assert rows == sorted((run, "completed", 4, 50) for run in runs)


async def test_two_logstores_at_once_double_nothing(
    logstores: Logstores, world: World, database_url: str, bus: Bus
) -> None:
    await asyncio.gather(logstores.start(database_url), logstores.start(database_url))
    runs = {}
    for _ in range(15):
        runs[await world.run(lines=30)] = 30
    await caught_up(database_url, bus)
    assert await query(database_url, LINES) == expected_lines(runs)
    assert await query(database_url, "SELECT count(*) FROM workloads WHERE state = 'completed'") == [(15,)]


async def test_nats_may_go_and_come(
    logstores: Logstores, world: World, database_url: str, bus: Bus, nats_server: NatsServer
) -> None:
    await logstores.start(database_url)
    runs = {await world.run(lines=5): 5}
    for _ in range(2):
        await nats_server.bounce(0.2)
        await bus.wait_connected(10)
        runs[await world.run(lines=5)] = 5
    await caught_up(database_url, bus)
    assert await query(database_url, LINES) == expected_lines(runs)


async def test_postgres_may_come_later_and_readiness_says_so(
    logstores: Logstores, world: World, own_postgres: PostgresServer, bus: Bus
) -> None:
    url = own_postgres.create_database()
    await asyncio.to_thread(own_postgres.stop)
    service = await logstores.start(url)
    run = await world.run()

    async def told() -> bool:
        return "Postgres is away" in service.health.failures().get("database", "")

    await eventually(told)
    await asyncio.to_thread(own_postgres.start)
    await caught_up(url, bus)
    assert await query(url, LINES) == expected_lines({run: 3})
    assert service.health.failures() == {}
    await asyncio.to_thread(own_postgres.kill)
    await world.run()

    async def told_again() -> bool:
        return set(service.health.failures()) == {"workloads", "log_lines"}

    await eventually(told_again)
    await asyncio.to_thread(own_postgres.start)
    await caught_up(url, bus)
    assert await query(url, "SELECT count(*) FROM log_lines") == [(6,)]
    assert service.health.failures() == {}


async def test_a_database_that_lost_its_last_transactions_is_brought_up_again(
    logstores: Logstores, world: World, database_url: str, bus: Bus
) -> None:
    await logstores.start(database_url)
    runs = {await world.run(): 3}
    await caught_up(database_url, bus)
    await query(database_url, "DELETE FROM log_lines")
    await query(database_url, "DELETE FROM workloads")
    await query(database_url, "UPDATE projection_positions SET seq = 0")
    runs[await world.run()] = 3
    await caught_up(database_url, bus)
    assert await query(database_url, LINES) == expected_lines(runs)
    assert await query(database_url, "SELECT count(*) FROM workloads") == [(2,)]


async def test_text_that_postgres_cannot_hold(logstores: Logstores, world: World, database_url: str, bus: Bus) -> None:
    await logstores.start(database_url)
    workload_id = ids.new_workload_id()
    outcome = Outcome(reason=Reason.EXIT_NONZERO, message="a\x00b", exit_code=2**40)
    texts = ["a\x00b", "", "\U0001f600 ünïcode", "\x1b[31m", "x" * 900_000, "\ufffd"]
    await world.do(workload_id, submit(), schedule(), start())
    await world.print(workload_id, texts, batch=1)
    await world.do(workload_id, end(outcome=outcome))
    await caught_up(database_url, bus)
    assert await query(database_url, "SELECT text FROM log_lines ORDER BY seq") == [
        ("a\ufffdb",),
        *((text,) for text in texts[1:]),
    ]
    assert await query(database_url, "SELECT message, exit_code FROM workloads") == [("a\ufffdb", 2**31 - 1)]


async def test_one_message_that_postgres_refuses_costs_only_itself(
    logstores: Logstores, world: World, database_url: str, bus: Bus
) -> None:
    workload_id = ids.new_workload_id()
    await world.print(workload_id, ["line 1", "line 2"], batch=1)
    bad = LogBatch(
        workload_id=workload_id,
        tenant=TENANT,
        attempt=1,
        lines=[LogLine(seq=2**63, time=datetime.now(UTC), stream="stdout", text="numbered too high")],
    )
    await jetstream.publish(bus, subjects.log(TENANT, workload_id), encode_batch(bad))
    await world.print(workload_id, ["line 3"], first=3)
    await jetstream.publish(bus, subjects.log(TENANT, workload_id), b"not a batch")
    await world.print(workload_id, ["line 4"], first=4)
    event = subjects.event(TENANT, workload_id, "started")
    await jetstream.publish(bus, event, b'{"id":"x"}')
    run = await world.run()
    service = await logstores.start(database_url)
    await caught_up(database_url, bus)
    assert await query(database_url, LINES) == expected_lines({workload_id: 4, run: 3})
    assert await query(database_url, "SELECT id FROM workloads") == [(run,)]
    assert service.registry.get_sample_value("vulcan_projection_skipped_total", {"projection": "log_lines"}) == 1


async def test_metrics_say_how_far_behind_it_is(
    logstores: Logstores, world: World, own_postgres: PostgresServer, bus: Bus
) -> None:
    url = own_postgres.create_database()
    service = await logstores.start(url)
    await world.run()
    await caught_up(url, bus)

    def lag(name: str) -> float:
        return service.registry.get_sample_value(name, {"projection": "workloads"}) or 0.0

    await asyncio.to_thread(own_postgres.kill)
    await world.run()

    async def behind() -> bool:
        return lag("vulcan_projection_lag_messages") == 4 and lag("vulcan_projection_lag_seconds") > 0

    await eventually(behind)
    await asyncio.to_thread(own_postgres.start)

    async def level() -> bool:
        return lag("vulcan_projection_lag_messages") == 0 == lag("vulcan_projection_lag_seconds")

    await eventually(level)
    assert lag("vulcan_projection_rows_total") >= 2


async def test_the_projection_is_part_of_a_workloads_trace(
    logstores: Logstores, world: World, database_url: str, bus: Bus
) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing.use(provider.get_tracer("test"))
    try:
        await logstores.start(database_url)
        with tracing.span("submit") as submitting:
            await world.run()
        await caught_up(database_url, bus)
    finally:
        tracing.use(None)
        provider.shutdown()
    spans = [span for span in exporter.get_finished_spans() if span.name.startswith("project ")]
    life = ("submitted", "scheduled", "started", "completed")
    assert [span.name for span in spans] == [f"project {kind}" for kind in life]
    assert {span.context.trace_id for span in spans} == {submitting.get_span_context().trace_id}


async def test_the_same_streams_give_the_same_tables(
    logstores: Logstores, world: World, postgres_server: PostgresServer, bus: Bus
) -> None:
    """However the messages fall into batches."""
    first, second = postgres_server.create_database(), postgres_server.create_database()
    try:
        await logstores.start(first)
        for _ in range(10):
            await world.run(lines=12)
        await logstores.start(
            second, projection=msgspec.structs.replace(logstores.settings(second).projection, max_events=3, max_lines=1)
        )
        await caught_up(first, bus)
        await caught_up(second, bus)
        assert await content(first) == await content(second)
    finally:
        await logstores.close()
        logstores.services.clear()
        postgres_server.drop_database(first)
        postgres_server.drop_database(second)
