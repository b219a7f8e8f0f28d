"""A rebuild gives the same tables again, all at once, while the work goes on."""

import asyncio

import asyncpg
import pytest

from support.logstores import Logstores, World, caught_up, content, eventually, query
from support.nats import NatsServer
from support.postgres import PostgresServer
from vulcan_contracts import subjects
from vulcan_contracts.projections import RebuildAnswer, RebuildRequest, RebuildStatus, RebuildStatusRequest
from vulcan_contracts.tenants import Tenant
from vulcan_eventstore import broadcast, jetstream
from vulcan_eventstore.buckets import Bucket
from vulcan_eventstore.connection import Bus
from vulcan_eventstore.streams import StreamSettings, ensure_streams
from vulcan_logstore.settings import ProjectionSettings


async def ask(bus: Bus, rebuild_id: str) -> RebuildStatus:
    answer = await broadcast.request(bus, subjects.REBUILD_REQUEST, RebuildRequest(id=rebuild_id), RebuildAnswer)
    assert answer.error == ""
    assert answer.status is not None
    return answer.status


async def status(bus: Bus, rebuild_id: str | None = None) -> RebuildAnswer:
    question = RebuildStatusRequest(id=rebuild_id)
    return await broadcast.request(bus, subjects.REBUILD_STATUS, question, RebuildAnswer)


async def finished(bus: Bus, rebuild_id: str) -> RebuildStatus:
    async def over() -> RebuildStatus | None:
        found = (await status(bus, rebuild_id)).status
        return found if found is not None and found.state in ("done", "failed") else None

    found: RebuildStatus = await eventually(over)
    return found


async def test_the_content_is_equal(logstores: Logstores, world: World, database_url: str, bus: Bus) -> None:
    await Bucket(bus, subjects.TENANTS_BUCKET, Tenant).put("short", Tenant(id="short", log_retention_days=2))
    await logstores.start(database_url)
    for number in range(12):
        await world.run(lines=20, tenant="short" if number % 3 == 0 else "acme")
    await caught_up(database_url, bus)
    before = await content(database_url)
    done = await _rebuilt(bus, "rq_1")
    assert done.state == "done"
    assert (done.events_seq, done.events_target) == (48, 48)
    assert done.logs_seq == done.logs_target == 48
    assert done.started_at is not None
    assert done.ended_at is not None
    assert await content(database_url) == before
    assert await query(database_url, "SELECT count(*) FROM pg_namespace WHERE nspname = 'vulcan_rebuild'") == [(0,)]
    run = await world.run()
    await caught_up(database_url, bus)
    assert await query(database_url, "SELECT count(*) FROM log_lines WHERE workload_id = $1", run) == [(3,)]
    assert (await _rebuilt(bus, "rq_2")).state == "done", "and again"
    assert len((await content(database_url))["workloads"]) == 13


async def _rebuilt(bus: Bus, rebuild_id: str) -> RebuildStatus:
    await ask(bus, rebuild_id)
    return await finished(bus, rebuild_id)


async def test_what_was_changed_by_hand_is_mended(
    logstores: Logstores, world: World, database_url: str, bus: Bus
) -> None:
    service = await logstores.start(database_url)
    for _ in range(3):
        await world.run()
    await caught_up(database_url, bus)
    before = await content(database_url)
    await query(database_url, "DELETE FROM log_lines WHERE seq = 2")
    await query(database_url, "UPDATE workloads SET state = 'lost'")
    await query(database_url, "UPDATE projection_positions SET seq = 1000000 WHERE name = 'workloads'")
    await logstores.close()
    logstores.services.remove(service)
    service = await logstores.start(database_url)

    async def told() -> bool:
        return "rebuild it" in service.health.failures().get("workloads", "")

    await eventually(told)
    assert (await _rebuilt(bus, "rq_1")).state == "done"
    assert await content(database_url) == before

    async def well() -> bool:
        return service.health.failures() == {}

    await eventually(well)


async def test_readers_and_writers_go_on_meanwhile(
    logstores: Logstores, world: World, database_url: str, bus: Bus
) -> None:
    await asyncio.gather(logstores.start(database_url), logstores.start(database_url))
    runs = {await world.run(lines=10) for _ in range(10)}
    await caught_up(database_url, bus)
    over = asyncio.Event()

    async def write() -> None:
        while not over.is_set():
            runs.add(await world.run(lines=10))

    async def read() -> int:
        """A reader with a prepared statement never sees less than before, and no error."""
        connection = await asyncpg.connect(database_url)
        workloads = await connection.prepare("SELECT count(*) FROM workloads")
        lines = await connection.prepare("SELECT count(*) FROM log_lines WHERE tenant = $1")
        seen = seen_lines = reads = 0
        while not over.is_set():
            now, now_lines = await workloads.fetchval(), await lines.fetchval("acme")
            assert now >= seen
            assert now_lines >= seen_lines
            seen, seen_lines, reads = now, now_lines, reads + 1
        await connection.close()
        return reads

    async def rebuild() -> None:
        for number in range(3):
            assert (await _rebuilt(bus, f"rq_{number}")).state == "done"
        over.set()

    _, reads, _ = await asyncio.gather(write(), read(), rebuild())
    assert reads > 10
    await caught_up(database_url, bus)
    assert await query(database_url, "SELECT id FROM workloads ORDER BY id") == [(run,) for run in sorted(runs)]
    doubled = "SELECT workload_id, seq FROM log_lines GROUP BY 1, 2 HAVING count(*) > 1"
    assert await query(database_url, doubled) == []
    assert await query(database_url, "SELECT count(*) FROM log_lines") == [(10 * len(runs),)]


async def test_asking_twice_is_asking_once(logstores: Logstores, world: World, database_url: str, bus: Bus) -> None:
    await asyncio.gather(logstores.start(database_url), logstores.start(database_url))
    await world.run()
    await caught_up(database_url, bus)
    await ask(bus, "rq_1")
    await finished(bus, "rq_1")
    first = await ask(bus, "rq_1")
    assert (first.id, first.state) == ("rq_1", "done")
    assert await query(database_url, "SELECT count(*) FROM projection_rebuilds") == [(1,)]
    assert (await status(bus)).status == first
    assert (await status(bus, "rq_none")).error == "not_found"


async def test_a_killed_rebuild_is_taken_up_again(
    logstores: Logstores, world: World, own_postgres: PostgresServer, bus: Bus
) -> None:
    url = own_postgres.create_database()
    process = logstores.spawn(url)
    for _ in range(40):
        await world.run(lines=40)
    await caught_up(url, bus)
    before = await content(url)
    await eventually(lambda: _answers(bus))
    await ask(bus, "rq_1")

    async def running() -> bool:
        found = (await status(bus, "rq_1")).status
        return found is not None and found.state == "running"

    await eventually(running)
    process.kill()
    await asyncio.to_thread(own_postgres.restart)
    await logstores.start(url)
    assert (await finished(bus, "rq_1")).state == "done"
    assert await content(url) == before


async def test_postgres_may_die_under_a_rebuild(
    logstores: Logstores, world: World, own_postgres: PostgresServer, bus: Bus
) -> None:
    url = own_postgres.create_database()
    service = await logstores.start(url, projection=ProjectionSettings(max_events=1, max_lines=1, retry_first_s=0.02))
    for _ in range(25):
        await world.run(lines=20)
    await caught_up(url, bus)
    before = await content(url)
    for rebuild_id in ("rq_1", "rq_2"):
        await ask(bus, rebuild_id)

        async def begun(rebuild_id: str = rebuild_id) -> bool:
            found = (await status(bus, rebuild_id)).status
            return found is not None and (found.events_seq > 0 or found.state == "done")

        await eventually(begun)
        await asyncio.to_thread(own_postgres.restart)
        assert (await finished(bus, rebuild_id)).state == "done"
        assert await content(url) == before

    async def well() -> bool:
        return service.health.failures() == {}

    await eventually(well)


async def _answers(bus: Bus) -> bool:
    return (await status(bus)).error in ("", "not_found")


async def test_when_postgres_is_away_it_says_so(logstores: Logstores, own_postgres: PostgresServer, bus: Bus) -> None:
    url = own_postgres.create_database()
    await logstores.start(url)
    await asyncio.to_thread(own_postgres.stop)
    for answer in (
        await broadcast.request(bus, subjects.REBUILD_REQUEST, RebuildRequest(id="rq_1"), RebuildAnswer),
        await status(bus),
    ):
        assert answer.error == "unavailable"
        assert "Postgres is away" in answer.message


@pytest.mark.parametrize("emptied", ["logs", "all"])
async def test_a_log_that_lost_its_lines_or_itself(
    logstores: Logstores, world: World, database_url: str, nats_server: NatsServer, bus: Bus, emptied: str
) -> None:
    """Lines age out of the stream, and a whole event log may be lost: the tables then hold what the log holds."""
    await logstores.start(database_url)
    await world.run()
    await caught_up(database_url, bus)
    if emptied == "all":
        await jetstream.call(bus, f"STREAM.DELETE.{subjects.EVENTS_STREAM}")
        await jetstream.call(bus, f"STREAM.DELETE.{subjects.LOGS_STREAM}")
        await ensure_streams(bus, StreamSettings())
        await world.run(lines=1)
    else:
        await jetstream.purge(bus, subjects.LOGS_STREAM, subjects.ALL_LOGS)
    assert (await _rebuilt(bus, "rq_1")).state == "done"
    found = await content(database_url)
    assert len(found["workloads"]) == 1
    assert len(found["log_lines"]) == (1 if emptied == "all" else 0)
    await world.run(lines=2)
    await caught_up(database_url, bus)
    assert len((await content(database_url))["workloads"]) == 2
