"""How far each projection is: the fence that makes it exactly once."""

from vulcan_logstore.db.database import Connection, Database


async def read(database: Database, name: str) -> int:
    """Where to go on from."""
    async with database.connection() as connection:
        return int(await connection.fetchval("SELECT seq FROM projection_positions WHERE name = $1", name))


async def lock(connection: Connection, name: str) -> int:
    """The position, which nobody else can move before this transaction ends."""
    return int(await connection.fetchval("SELECT seq FROM projection_positions WHERE name = $1 FOR UPDATE", name))


async def save(connection: Connection, name: str, seq: int) -> None:
    """Move the position, in the transaction that wrote what it stands for."""
    await connection.execute("UPDATE projection_positions SET seq = $2, updated_at = now() WHERE name = $1", name, seq)
