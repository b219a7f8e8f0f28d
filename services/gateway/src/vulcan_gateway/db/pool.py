"""The gateway's own connections to Postgres: few, read-only, with a deadline on everything.

Postgres may be away at any time. A call then fails fast with `ProjectionUnavailableError`, and after one failure to
connect the next calls do not even try for a moment, so that its absence costs readers nothing.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Annotated, Any, Final

import asyncpg
from msgspec import Meta, Struct

from vulcan_chassis import logs

_AWAY: Final = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # the server has said goodbye on this connection and has not hung up yet
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.QueryCanceledError,
    asyncpg.InsufficientResourcesError,  # a full disk is one
    asyncpg.PostgresSystemError,
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedColumnError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
)

Seconds = Annotated[float, Meta(gt=0)]


class ProjectionUnavailableError(Exception):
    """Postgres did not answer in time, or does not have the tables yet."""


class PoolSettings(Struct, frozen=True, kw_only=True):
    """How many connections, and how long anything may take."""

    max_connections: Annotated[int, Meta(ge=1)] = 8
    connect_timeout_s: Seconds = 3.0
    acquire_timeout_s: Seconds = 3.0
    query_timeout_s: Seconds = 10.0
    retry_after_s: Seconds = 1.0


class Database:
    """A pool that needs no Postgres to start, and finds it again when it comes back."""

    def __init__(self, url: str, settings: PoolSettings) -> None:
        self._settings = settings
        self._pool = asyncpg.create_pool(
            url,
            min_size=0,
            max_size=settings.max_connections,
            timeout=settings.connect_timeout_s,
            command_timeout=settings.query_timeout_s,
            max_inactive_connection_lifetime=300.0,
            server_settings={
                "application_name": "vulcan-gateway",
                "default_transaction_read_only": "on",
                "statement_timeout": str(int(settings.query_timeout_s * 1000)),
            },
        )
        self._opened = False
        self._opening = asyncio.Lock()
        self._away_until_s = 0.0
        self._said_away = False

    @property
    def away(self) -> bool:
        """True while the last attempt failed a moment ago."""
        return time.monotonic() < self._away_until_s

    async def fetch(self, query: str, *arguments: Any) -> Sequence[asyncpg.Record]:
        """All rows of a query.

        Raises:
            ProjectionUnavailableError: Postgres is away, too slow, or not migrated.
        """
        if self.away:
            raise ProjectionUnavailableError("Postgres did not answer a moment ago.")
        try:
            await self._open()
            async with self._pool.acquire(timeout=self._settings.acquire_timeout_s) as connection:
                rows: Sequence[asyncpg.Record] = await connection.fetch(query, *arguments)
        except asyncpg.QueryCanceledError as error:
            raise ProjectionUnavailableError("The query took too long.") from error
        except _AWAY as error:
            self._away_until_s = time.monotonic() + self._settings.retry_after_s
            why = str(error) or "no answer in time"
            if not self._said_away:
                self._said_away = True
                logs.get().warning("lists and searches answer 503: Postgres is away", reason=why)
            raise ProjectionUnavailableError(f"Postgres: {type(error).__name__}: {why}") from error
        if self._said_away:
            self._said_away = False
            logs.get().info("lists and searches work again")
        return rows

    async def _open(self) -> None:
        async with self._opening:
            if not self._opened:
                await self._pool
                self._opened = True

    async def close(self) -> None:
        """Close every connection; those that are busy are cut."""
        if self._opened:
            self._pool.terminate()
