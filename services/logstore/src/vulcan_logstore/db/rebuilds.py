"""Rebuilds as rows, the claim to run one, and the swap that puts new tables in the place of the old."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

import asyncpg

from vulcan_contracts.projections import RebuildStatus
from vulcan_logstore.db.database import Connection, Database
from vulcan_logstore.db.errors import DatabaseAwayError

LOCK: Final = 0x76756C_03
SHADOW: Final = "vulcan_rebuild"
TABLES: Final = ("workloads", "log_lines")
"""What a rebuild replaces. A migration that adds a projection's table adds it here."""

_COLUMNS: Final = ", ".join(RebuildStatus.__struct_fields__)
_GOING_ON: Final = "state IN ('waiting', 'running')"


async def request(database: Database, rebuild_id: str) -> RebuildStatus:
    """Ask for a rebuild. A repeat finds the first; while another goes on, that one is the answer."""
    async with database.connection() as connection:
        await connection.execute(
            "INSERT INTO projection_rebuilds (id, state) VALUES ($1, 'waiting') ON CONFLICT DO NOTHING", rebuild_id
        )
        row = await connection.fetchrow(
            f"SELECT {_COLUMNS} FROM projection_rebuilds WHERE id = $1 OR {_GOING_ON} "
            "ORDER BY id = $1 DESC, requested_at DESC LIMIT 1",
            rebuild_id,
        )
    if row is None:
        raise DatabaseAwayError("the rebuild that goes on ended just now")
    return RebuildStatus(**dict(row))


async def find(database: Database, rebuild_id: str | None) -> RebuildStatus | None:
    """One rebuild, or the newest; None if there is none."""
    async with database.connection() as connection:
        row = await connection.fetchrow(
            f"SELECT {_COLUMNS} FROM projection_rebuilds WHERE $1::text IS NULL OR id = $1 "
            "ORDER BY requested_at DESC LIMIT 1",
            rebuild_id,
        )
    return None if row is None else RebuildStatus(**dict(row))


async def going_on(database: Database) -> RebuildStatus | None:
    """The rebuild that waits or runs, if any."""
    async with database.connection() as connection:
        row = await connection.fetchrow(f"SELECT {_COLUMNS} FROM projection_rebuilds WHERE {_GOING_ON}")
    return None if row is None else RebuildStatus(**dict(row))


@asynccontextmanager
async def claimed(database: Database) -> AsyncIterator["Connection | None"]:
    """The connection that holds the right to rebuild, for the block; None if another logstore has it.

    The right ends with the connection, or when the pool takes that back.
    """
    async with database.connection() as connection:
        mine = await connection.fetchval("SELECT pg_try_advisory_lock($1)", LOCK)
        yield connection if mine else None


def check(claim: Connection) -> None:
    """Make sure that the right to rebuild is still held.

    Raises:
        DatabaseAwayError: its connection was lost; another logstore may have taken over.
    """
    try:
        lost = claim.is_closed()
    except asyncpg.InterfaceError:  # a pool takes a lost connection back by itself
        lost = True
    if lost:
        raise DatabaseAwayError("the connection that held the right to rebuild was lost")


async def begin(database: Database, rebuild_id: str, *, events_target: int, logs_target: int) -> None:
    """It runs from now, in an empty schema of its own."""
    async with database.connection() as connection:
        await connection.execute(
            "UPDATE projection_rebuilds SET state = 'running', started_at = now(), events_target = $2, "
            "logs_target = $3 WHERE id = $1",
            *(rebuild_id, events_target, logs_target),
        )
        await connection.execute(f"DROP SCHEMA IF EXISTS {SHADOW} CASCADE")
        await connection.execute(f"CREATE SCHEMA {SHADOW}")


async def progress(database: Database, rebuild_id: str, positions: Mapping[str, int]) -> None:
    """How far it is."""
    async with database.connection() as connection:
        await connection.execute(
            "UPDATE projection_rebuilds SET events_seq = $2, logs_seq = $3 WHERE id = $1",
            *(rebuild_id, positions["workloads"], positions["log_lines"]),
        )


async def fail(database: Database, rebuild_id: str, message: str) -> None:
    """It ended without taking the old tables' place."""
    async with database.connection() as connection:
        await connection.execute(
            "UPDATE projection_rebuilds SET state = 'failed', ended_at = now(), message = $2 WHERE id = $1",
            *(rebuild_id, message),
        )
        await connection.execute(f"DROP SCHEMA IF EXISTS {SHADOW} CASCADE")


async def lock_live(connection: Connection) -> dict[str, int]:
    """Make the projectors wait; how far they are."""
    rows = await connection.fetch("SELECT name, seq FROM projection_positions ORDER BY name FOR UPDATE")
    return {row["name"]: row["seq"] for row in rows}


async def lock_tables(connection: Connection) -> None:
    """Make the readers wait, so that the swap itself waits for nobody."""
    await connection.execute(f"LOCK TABLE {', '.join(TABLES)} IN ACCESS EXCLUSIVE MODE")


async def take_over(connection: Connection, rebuild_id: str, needed: Mapping[str, int]) -> None:
    """Put the new tables and positions in the place of the old, in the caller's transaction.

    Raises:
        DatabaseAwayError: the new tables are not as far as `needed`: they are another rebuild's.
    """
    rows = await connection.fetch(f"SELECT name, seq FROM {SHADOW}.projection_positions")
    found = {row["name"]: row["seq"] for row in rows}
    if any(found.get(name, 0) < seq for name, seq in needed.items()):
        raise DatabaseAwayError("another logstore began this rebuild again")
    live = await connection.fetchval("SELECT quote_ident(current_schema())")
    partitions = await connection.fetch(
        "SELECT quote_ident(relname) AS name FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid "
        f"WHERE inhparent = '{SHADOW}.log_lines'::regclass"
    )
    await connection.execute(f"DROP TABLE {', '.join(TABLES)}")
    for name in (*TABLES, *(row["name"] for row in partitions)):
        await connection.execute(f"ALTER TABLE {SHADOW}.{name} SET SCHEMA {live}")
    await connection.execute(
        "UPDATE projection_positions AS old SET seq = new.seq, updated_at = now() "
        f"FROM {SHADOW}.projection_positions AS new WHERE new.name = old.name"
    )
    await connection.execute(
        "UPDATE projection_rebuilds AS rebuild SET state = 'done', ended_at = now(), "
        f"events_seq = (SELECT seq FROM {SHADOW}.projection_positions WHERE name = 'workloads'), "
        f"logs_seq = (SELECT seq FROM {SHADOW}.projection_positions WHERE name = 'log_lines') WHERE id = $1",
        rebuild_id,
    )
    await connection.execute(f"DROP SCHEMA {SHADOW} CASCADE")
