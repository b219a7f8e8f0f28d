"""Errors of the database in the few kinds that matter."""

import asyncio

import asyncpg
import pytest

from vulcan_chassis.errors import StartError
from vulcan_logstore.db.errors import DatabaseAwayError, RefusedDataError, SchemaMissingError, translated


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (ConnectionRefusedError(), DatabaseAwayError),
        (TimeoutError(), DatabaseAwayError),
        (asyncpg.CannotConnectNowError("starting up"), DatabaseAwayError),
        (asyncpg.InterfaceError("connection is closed"), DatabaseAwayError),
        (asyncpg.DeadlockDetectedError("deadlock"), DatabaseAwayError),
        (asyncpg.DiskFullError("could not extend file: No space left on device"), DatabaseAwayError),
        (asyncpg.PostgresIOError("could not write to file: No space left on device"), DatabaseAwayError),
        (asyncpg.UndefinedTableError("no table"), SchemaMissingError),
        (asyncpg.InvalidTextRepresentationError("not json"), RefusedDataError),
        (asyncpg.CheckViolationError("no partition"), RefusedDataError),
        (asyncpg.ClientConfigurationError("bad url"), StartError),
        (UnicodeEncodeError("utf-8", "x", 0, 1, "surrogate"), RefusedDataError),
        (KeyError("a bug"), KeyError),
    ],
)
async def test_kinds(raised: Exception, kind: type[Exception]) -> None:
    with pytest.raises(kind) as caught, translated():
        raise raised
    assert type(caught.value) is kind


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (TimeoutError(), "no answer in time"),
        (ConnectionResetError(), "ConnectionResetError"),
        (ConnectionRefusedError("refused"), "refused"),
    ],
)
async def test_being_away_is_never_without_a_reason(raised: Exception, said: str) -> None:
    with pytest.raises(DatabaseAwayError, match=said), translated():
        raise raised


async def test_a_cancellation_is_not_lost_to_the_cleaning_up_after_it() -> None:
    async def work() -> None:
        with translated():
            try:
                await asyncio.Event().wait()
            finally:
                raise asyncpg.InterfaceError("cannot call Transaction.__aexit__(): the underlying connection is closed")

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
