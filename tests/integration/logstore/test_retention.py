"""Lines go when their tenant's days are over: a partition at a time."""

from datetime import UTC, date, datetime, timedelta

import asyncpg
import msgspec
import pytest
from prometheus_client import CollectorRegistry

from support.logstores import Logstores, World, caught_up, query
from vulcan_contracts import ids, subjects
from vulcan_contracts.tenants import Tenant
from vulcan_eventstore.buckets import Bucket
from vulcan_eventstore.connection import Bus
from vulcan_logstore.db import log_lines
from vulcan_logstore.db.database import Database, DatabaseSettings
from vulcan_logstore.db.errors import DatabaseAwayError
from vulcan_logstore.metrics import Metrics
from vulcan_logstore.projection.retention import Retention

TODAY = datetime.now(UTC).date()
COUNTS = "SELECT tenant, count(*) FROM log_lines GROUP BY tenant ORDER BY tenant"


async def partitions(database: Database) -> set[date]:
    async with database.connection() as connection:
        return await log_lines.partitions(connection)


def keeper(database: Database, today: date) -> Retention:
    metrics = Metrics(CollectorRegistry())
    return Retention(database, metrics, default_days=30, ahead=2, interval_s=1000, today=lambda: today)


async def test_each_tenants_days(logstores: Logstores, world: World, database_url: str, bus: Bus) -> None:
    tenants = Bucket(bus, subjects.TENANTS_BUCKET, Tenant)
    await tenants.put("brief", Tenant(id="brief", log_retention_days=1))
    await tenants.put("greedy", Tenant(id="greedy", log_retention_days=10_000))
    await tenants.put("none", Tenant(id="none", log_retention_days=0))
    await logstores.start(database_url)
    for tenant in ("brief", "greedy", "none", "usual"):
        await world.print(ids.new_workload_id(), ["x"], tenant=tenant)
        await world.print(ids.new_workload_id(), ["old"], tenant=tenant, time=datetime.now(UTC) - timedelta(days=5))
    await caught_up(database_url, bus)
    found = await query(database_url, "SELECT tenant, text, expires_on FROM log_lines ORDER BY tenant, expires_on")
    assert found == [
        ("brief", "x", TODAY + timedelta(days=1)),
        ("greedy", "old", TODAY + timedelta(days=25)),
        ("greedy", "x", TODAY + timedelta(days=30)),
        ("none", "x", TODAY),
        ("usual", "old", TODAY + timedelta(days=25)),
        ("usual", "x", TODAY + timedelta(days=30)),
    ], "the stream bounds the greedy one to 30 days; lines whose days are over already are not written"

    database = await Database.open(database_url, DatabaseSettings())
    await keeper(database, TODAY + timedelta(days=1)).once()
    assert await query(database_url, COUNTS) == [("brief", 1), ("greedy", 2), ("usual", 2)]
    await keeper(database, TODAY + timedelta(days=2)).once()
    assert await query(database_url, COUNTS) == [("greedy", 2), ("usual", 2)]
    await keeper(database, TODAY + timedelta(days=26)).once()
    assert await query(database_url, COUNTS) == [("greedy", 1), ("usual", 1)]
    assert min(await partitions(database)) == TODAY + timedelta(days=30)
    await database.close()


async def test_the_next_days_are_there_before_a_line_needs_them(
    logstores: Logstores, world: World, database_url: str, bus: Bus
) -> None:
    await logstores.start(database_url, partitions_ahead=3)
    await world.print(ids.new_workload_id(), ["x"])
    await caught_up(database_url, bus)
    database = await Database.open(database_url, DatabaseSettings())
    days = await partitions(database)
    assert {TODAY + timedelta(days=30 + ahead) for ahead in range(4)} <= days
    await log_lines.ensure_partitions(database, days)
    assert await partitions(database) == days, "making them again is harmless"
    await database.close()


async def test_a_reader_that_stays_long_does_not_stop_the_writers(
    logstores: Logstores, world: World, database_url: str, bus: Bus
) -> None:
    """Making a partition waits for no reader; dropping one gives up soon and is tried again."""
    await logstores.start(database_url)
    await world.print(ids.new_workload_id(), ["x"])
    await caught_up(database_url, bus)
    reader = await asyncpg.connect(database_url)
    reading = reader.transaction()
    await reading.start()
    await reader.fetch("SELECT * FROM log_lines")
    await Bucket(bus, subjects.TENANTS_BUCKET, Tenant).put("other", Tenant(id="other", log_retention_days=9))
    await world.print(ids.new_workload_id(), ["y"], tenant="other")
    await caught_up(database_url, bus)
    database = await Database.open(database_url, msgspec.structs.replace(DatabaseSettings(), lock_timeout_s=1.0))
    with pytest.raises(DatabaseAwayError, match="lock timeout"):
        await keeper(database, TODAY + timedelta(days=31)).once()
    await reading.rollback()
    await keeper(database, TODAY + timedelta(days=31)).once()
    assert await query(database_url, COUNTS) == []
    await reader.close()
    await database.close()
