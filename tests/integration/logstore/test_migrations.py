"""The schema: made once by whoever comes first, and never changed behind anyone's back."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from support.logstores import query
from support.postgres import PostgresServer
from vulcan_logstore.db.database import Database, DatabaseSettings
from vulcan_logstore.db.errors import RefusedDataError
from vulcan_logstore.db.migrate import Migration, MigrationError, migrate, migrations

VERSIONS = [migration.version for migration in migrations()]


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = await Database.open(database_url, DatabaseSettings())
    yield opened
    await opened.close()


async def test_several_starters_at_once(database_url: str) -> None:
    databases = [await Database.open(database_url, DatabaseSettings()) for _ in range(6)]
    applied = await asyncio.gather(*(migrate(each) for each in databases))
    assert sorted(version for versions in applied for version in versions) == VERSIONS
    assert await query(database_url, "SELECT version FROM schema_migrations ORDER BY version") == [
        (version,) for version in VERSIONS
    ]
    for each in databases:
        await each.close()


async def test_a_second_start_changes_nothing(database: Database) -> None:
    assert await migrate(database) == VERSIONS
    assert await migrate(database) == []


async def test_a_changed_file_is_noticed(database: Database) -> None:
    await migrate(database)
    first, *rest = migrations()
    with pytest.raises(MigrationError, match=r"migration 1 \(projections\) is not the one"):
        await migrate(database, [first._replace(sql=first.sql + "-- changed"), *rest])


async def test_a_file_that_fails_leaves_nothing_behind(database: Database, database_url: str) -> None:
    broken = Migration(1, "broken", "CREATE TABLE half (id int); INSERT INTO half VALUES (1); SELECT 1/0;")
    with pytest.raises(RefusedDataError, match="division by zero"):
        await migrate(database, [broken])
    assert await query(database_url, "SELECT to_regclass('half') IS NULL") == [(True,)]
    assert await migrate(database) == VERSIONS


async def test_a_database_of_a_later_release_is_left_alone(database: Database, database_url: str) -> None:
    later = Migration(VERSIONS[-1] + 1, "later", "CREATE TABLE later (id int)")
    await migrate(database, [*migrations(), later])
    assert await migrate(database) == []
    assert await query(database_url, "SELECT count(*) FROM later") == [(0,)]


async def test_what_is_applied_survives_a_crash_of_postgres(own_postgres: PostgresServer) -> None:
    url = own_postgres.create_database()
    for expected in (VERSIONS, []):
        database = await Database.open(url, DatabaseSettings())
        assert await migrate(database) == expected
        await database.close()
        await asyncio.to_thread(own_postgres.restart)


def test_numbers_without_gaps(tmp_path: Path) -> None:
    assert list(range(1, len(VERSIONS) + 1)) == VERSIONS
    (tmp_path / "0001_one.sql").write_text("SELECT 1")
    (tmp_path / "0003_three.sql").write_text("SELECT 3")
    with pytest.raises(MigrationError, match="not numbered"):
        migrations(tmp_path)
