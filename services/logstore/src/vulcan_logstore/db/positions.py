"""How far each projection is: the fence that makes it exactly once."""

from typing import Final

from vulcan_logstore.db.database import Connection, Database

_LOCK: Final = (
    "SELECT seq, set_config('synchronous_commit', 'off', true) FROM projection_positions WHERE name = $1 FOR UPDATE"
)


async def read(database: Database, name: str) -> int:
    """Where to go on from."""
    async with database.connection() as connection:
        return int(await connection.fetchval("SELECT seq FROM projection_positions WHERE name = $1", name))


async def lock(connection: Connection, name: str) -> int:
    """The position, which nobody else can move before this transaction ends.

    The transaction need not wait for the disk at its commit: what a crash of Postgres takes, it takes together with the
    position, and it is projected again.
    """
    return int(await connection.fetchval(_LOCK, name))


async def save(connection: Connection, name: str, seq: int) -> None:
    """Move the position, in the transaction that wrote what it stands for."""
    await connection.execute("UPDATE projection_positions SET seq = $2, updated_at = now() WHERE name = $1", name, seq)
