"""LOGS into `log_lines`."""

from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from datetime import date

from vulcan_contracts import subjects
from vulcan_contracts.clock import utc_now
from vulcan_eventstore.connection import Bus
from vulcan_eventstore.follower import follow_logs
from vulcan_eventstore.records import StoredBatch
from vulcan_logstore.db import log_lines
from vulcan_logstore.db.database import Connection, Database
from vulcan_logstore.domain.lines import LineRun, line_runs, split
from vulcan_logstore.projection.source import NotPreparedError, newest_held
from vulcan_logstore.settings import ProjectionSettings

NAME = "log_lines"


class LogLinesProjection:
    """A batch of log batches becomes one COPY. `retention_days` says how long a tenant's lines are kept."""

    name = NAME

    def __init__(
        self,
        bus: Bus,
        database: Database,
        settings: ProjectionSettings,
        *,
        retention_days: Callable[[str], int],
        today: Callable[[], date] = lambda: utc_now().date(),
    ) -> None:
        self._bus = bus
        self._database = database
        self._settings = settings
        self._retention_days = retention_days
        self._today = today

    def follow(self, after_seq: int) -> AsyncGenerator[list[StoredBatch], None]:
        """Every log batch behind `after_seq` that the stream still holds."""
        settings = self._settings
        return follow_logs(
            self._bus,
            after_seq=after_seq,
            max_batch=settings.max_log_batches,
            linger_s=settings.linger_ms / 1000,
        )

    async def last_seq(self) -> int:
        """The newest log batch's sequence."""
        return await newest_held(self._bus, subjects.LOGS_STREAM, subjects.ALL_LOGS)

    def split(self, items: Sequence[StoredBatch]) -> Iterable[list[StoredBatch]]:
        """Parts of bounded size, so that huge lines do not make a huge transaction."""
        return split(items, max_lines=self._settings.max_lines, max_chars=self._settings.max_chars)

    async def prepare(self, items: Sequence[StoredBatch]) -> None:
        """Make the partitions that the lines go into."""
        await log_lines.ensure_partitions(self._database, {run.expires_on for run in self._runs(items)})

    async def write(self, connection: Connection, items: Sequence[StoredBatch]) -> int:
        """Copy the lines.

        Raises:
            NotPreparedError: a partition is missing.
        """
        runs = self._runs(items)
        try:
            await log_lines.copy(connection, runs)
        except log_lines.PartitionMissingError as error:
            raise NotPreparedError from error
        return sum(len(run.seqs) for run in runs)

    def _runs(self, items: Sequence[StoredBatch]) -> list[LineRun]:
        batches = (stored.batch for stored in items)
        return line_runs(batches, retention_days=self._retention_days, today=self._today())
