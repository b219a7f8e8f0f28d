"""What can go wrong with Postgres, in the three ways that matter: it is away, the data is refused, or we have a bug."""

import asyncio
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import asyncpg

from vulcan_chassis.errors import StartError


class DatabaseAwayError(Exception):
    """Postgres cannot do this now. The transaction may have been committed or not."""


class SchemaMissingError(DatabaseAwayError):
    """The tables are not there: a new start makes them."""


class RefusedDataError(Exception):
    """Postgres cannot hold this data, now or later."""


_AWAY: Final = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,  # a full disk is one
    asyncpg.PostgresSystemError,
    asyncpg.TransactionRollbackError,
    asyncpg.LockNotAvailableError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InvalidCachedStatementError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
_MISSING: Final = (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError)
_REFUSED: Final = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,
    UnicodeError,
    OverflowError,
    struct.error,
)


@contextmanager
def translated() -> Iterator[None]:
    """Run the block with asyncpg's errors as ours.

    Raises:
        DatabaseAwayError: Postgres cannot do this now.
        SchemaMissingError: the tables are not there.
        RefusedDataError: Postgres cannot hold this data.
        StartError: the URL is none.
    """
    try:
        yield
    except _REFUSED as error:
        _cancelled(error)
        raise RefusedDataError(f"{type(error).__name__}: {error}") from error
    except asyncpg.ClientConfigurationError as error:
        raise StartError(f"the database URL cannot be used: {error}") from error
    except _MISSING as error:
        _cancelled(error)
        raise SchemaMissingError(str(error)) from error
    except _AWAY as error:
        _cancelled(error)
        raise DatabaseAwayError(str(error) or _unsaid(error)) from error


def _unsaid(error: Exception) -> str:
    return "no answer in time" if isinstance(error, TimeoutError) else type(error).__name__


def _cancelled(error: Exception) -> None:
    """Give a cancellation its place back: cleaning up on a dead connection raises an error over it, and whoever takes
    that for an answer would go on for ever."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError from error
