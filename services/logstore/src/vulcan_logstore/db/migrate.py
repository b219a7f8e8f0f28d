"""Numbered SQL files, applied in order, each in a transaction with its record, one starter at a time.

A file that was applied never changes: its checksum is checked at every start. A database that a later release has
brought further is left as it is, so that two releases can run side by side.
"""

import hashlib
import re
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final, NamedTuple

import structlog

from vulcan_chassis.errors import StartError
from vulcan_logstore.db.database import Database

LOCK: Final = 0x76756C_01
_FILE: Final = re.compile(r"(\d{4})_(\w+)\.sql")
_TABLE: Final = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    version int PRIMARY KEY,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""

_log = structlog.get_logger()


class MigrationError(StartError):
    """The database does not have the form that this release's migrations gave it."""


class Migration(NamedTuple):
    """One numbered file."""

    version: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """What tells whether the file is the one that was applied."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def migrations(folder: Traversable | None = None) -> list[Migration]:
    """This release's migrations, in order.

    Raises:
        MigrationError: their numbers have a gap.
    """
    found = []
    for file in (files("vulcan_logstore.db") / "migrations" if folder is None else folder).iterdir():
        match = _FILE.fullmatch(file.name)
        if match:
            found.append(Migration(int(match[1]), match[2], file.read_text("utf-8")))
    found.sort()
    if [migration.version for migration in found] != list(range(1, len(found) + 1)):
        raise MigrationError("the migrations are not numbered 1, 2, 3 ...")
    return found


async def migrate(database: Database, known: list[Migration] | None = None) -> list[int]:
    """Bring the schema up to this release; the versions that were applied now.

    Raises:
        MigrationError: a file was changed after it was applied.
        DatabaseAwayError: Postgres is away; what is applied stays applied.
    """
    applied_now: list[int] = []
    for migration in migrations() if known is None else known:
        if await _apply(database, migration):
            _log.info("migration applied", version=migration.version, name=migration.name)
            applied_now.append(migration.version)
    return applied_now


async def _apply(database: Database, migration: Migration) -> bool:
    async with database.transaction() as connection:
        await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
        await connection.execute(_TABLE)
        checksum = await connection.fetchval(
            "SELECT checksum FROM schema_migrations WHERE version = $1", migration.version
        )
        if checksum is None:
            await connection.execute(migration.sql)
            await connection.execute(
                "INSERT INTO schema_migrations (version, name, checksum) VALUES ($1, $2, $3)",
                *(migration.version, migration.name, migration.checksum),
            )
            return True
        if checksum != migration.checksum:
            raise MigrationError(
                f"migration {migration.version} ({migration.name}) is not the one that this database was made with; "
                "use the release that made it, or drop its tables: they are rebuilt from the event log"
            )
        return False
