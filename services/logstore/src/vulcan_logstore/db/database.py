"""Connections to one schema of the database. Nothing connects before it is needed, so that Postgres may come later."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Self, TypeAlias

import asyncpg
from msgspec import Meta, Struct

from vulcan_logstore.db.errors import translated

Connection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"
"""A connection out of the pool."""

Seconds = Annotated[float, Meta(gt=0)]


class DatabaseSettings(Struct, frozen=True, kw_only=True):
    """Timeouts and sizes of the connection pool."""

    pool_size: Annotated[int, Meta(ge=2)] = 6
    connect_timeout_s: Seconds = 5.0
    command_timeout_s: Seconds = 30.0
    lock_timeout_s: Seconds = 15.0


class Database:
    """A pool of connections that all work in `schema` (None: the database's default)."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", settings: DatabaseSettings) -> None:
        self._pool = pool
        self._settings = settings

    @classmethod
    async def open(cls, url: str, settings: DatabaseSettings, *, schema: str | None = None) -> Self:
        """A pool without a connection yet.

        Raises:
            StartError: the URL cannot be used.
        """
        session = {
            "application_name": "vulcan-logstore",
            "lock_timeout": str(round(settings.lock_timeout_s * 1000)),
            "timezone": "UTC",
        }
        if schema is not None:
            session["search_path"] = schema
        with translated():
            pool = await asyncpg.create_pool(
                url,
                min_size=0,
                max_size=settings.pool_size,
                timeout=settings.connect_timeout_s,
                command_timeout=settings.command_timeout_s,
                server_settings=session,
            )
        return cls(pool, settings)

    async def close(self) -> None:
        """Close every connection, at once if Postgres is away."""
        self._pool.terminate()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """One connection, without a transaction.

        Raises:
            DatabaseAwayError: Postgres cannot do this now.
            RefusedDataError: Postgres cannot hold what was given to it.
        """
        with translated():
            async with self._pool.acquire(timeout=self._settings.connect_timeout_s) as connection:
                yield connection

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """One connection in a transaction that commits at the end of the block.

        Raises:
            DatabaseAwayError: Postgres cannot do this now, and may have committed or not.
            RefusedDataError: Postgres cannot hold what was given to it.
        """
        async with self.connection() as connection, connection.transaction():
            yield connection
