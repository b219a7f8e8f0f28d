"""Rows of `log_lines`, and the partitions that they go into."""

from collections.abc import Collection, Sequence
from datetime import date, timedelta
from typing import Final

import asyncpg

from vulcan_logstore.db.database import Connection, Database
from vulcan_logstore.db.line_copy import COLUMNS, encoded
from vulcan_logstore.domain.lines import LineRun
from vulcan_logstore.domain.retention import partition_day, partition_name

LOCK: Final = 0x76756C_02
_PARTITIONS: Final = """
SELECT child.relname AS name
FROM pg_inherits JOIN pg_class AS child ON child.oid = inhrelid
WHERE inhparent = to_regclass('log_lines')
"""


class PartitionMissingError(Exception):
    """A row belongs to a day that has no partition."""


async def copy(connection: Connection, runs: Sequence[LineRun]) -> None:
    """Add the rows with one binary COPY.

    Raises:
        PartitionMissingError: a row has no partition to go into; the transaction is lost.
    """
    if not runs:
        return
    try:
        await connection.copy_to_table("log_lines", source=encoded(runs), columns=COLUMNS, format="binary")
    except asyncpg.CheckViolationError as error:  # the table has no other check
        raise PartitionMissingError(str(error)) from error


async def partitions(connection: Connection) -> set[date]:
    """The days that have a partition."""
    days = (partition_day(row["name"]) for row in await connection.fetch(_PARTITIONS))
    return {day for day in days if day is not None}


async def ensure_partitions(database: Database, days: Collection[date]) -> None:
    """Make the partitions of these days where there are none. Readers and writers go on meanwhile: a table is made
    beside the others and then attached."""
    async with database.transaction() as connection:
        await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
        for day in sorted(set(days) - await partitions(connection)):
            name = partition_name(day)
            await connection.execute(f"CREATE TABLE {name} (LIKE log_lines INCLUDING DEFAULTS)")
            await connection.execute(
                f"ALTER TABLE log_lines ATTACH PARTITION {name} "
                f"FOR VALUES FROM ('{day.isoformat()}') TO ('{(day + timedelta(days=1)).isoformat()}')"
            )


async def drop_expired(database: Database, today: date) -> list[date]:
    """Drop the partitions whose day is over; those that are gone now. Fails, to be tried again, rather than make
    readers wait for long."""
    dropped = []
    async with database.connection() as connection:
        expired = sorted(day for day in await partitions(connection) if day < today)
    for day in expired:
        async with database.transaction() as connection:
            await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
            await connection.execute("SET LOCAL lock_timeout = '2s'")
            await connection.execute(f"DROP TABLE IF EXISTS {partition_name(day)}")
        dropped.append(day)
    return dropped
