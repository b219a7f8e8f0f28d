"""What the logstore can be told, from `VULCAN_*` variables."""

from typing import Annotated

from msgspec import Meta, Struct

from vulcan_eventstore.connection import NatsSettings
from vulcan_eventstore.streams import StreamSettings
from vulcan_logstore.db.database import DatabaseSettings
from vulcan_logstore.domain.retention import longest_days

Seconds = Annotated[float, Meta(gt=0)]
DatabaseUrl = Annotated[
    str,
    Meta(
        pattern="^postgres(ql)?://",
        description="a PostgreSQL URL, as in postgresql://user@host:5432/vulcan or postgresql://user@/vulcan?host=/run/pg",
    ),
]


class ProjectionSettings(Struct, frozen=True, kw_only=True):
    """How batches become transactions, and how long to wait when Postgres is away."""

    linger_ms: Annotated[float, Meta(ge=0)] = 50.0
    """How long what is new waits for more: one transaction for a short run's events, and not beside the run itself."""
    max_events: Annotated[int, Meta(ge=1)] = 500
    max_log_batches: Annotated[int, Meta(ge=1)] = 200
    max_lines: Annotated[int, Meta(ge=1)] = 20_000
    max_chars: Annotated[int, Meta(ge=1)] = 8 * 1024 * 1024
    retry_first_s: Seconds = 0.1
    retry_longest_s: Seconds = 5.0
    lag_interval_s: Seconds = 5.0


class RebuildSettings(Struct, frozen=True, kw_only=True):
    """How often to look for a rebuild that was asked for, and how long readers and writers may wait for the swap."""

    poll_interval_s: Seconds = 2.0
    progress_interval_s: Seconds = 1.0
    swap_timeout_s: Seconds = 10.0


class LogstoreSettings(Struct, frozen=True, kw_only=True):
    """Everything the logstore reads. `log_retention_days` holds for tenants without a retention of their own."""

    database_url: DatabaseUrl
    nats: NatsSettings = NatsSettings()
    streams: StreamSettings = StreamSettings()
    database: DatabaseSettings = DatabaseSettings()
    projection: ProjectionSettings = ProjectionSettings()
    rebuild: RebuildSettings = RebuildSettings()
    log_retention_days: Annotated[int, Meta(ge=0)] = 30
    retention_interval_s: Seconds = 600.0
    partitions_ahead: Annotated[int, Meta(ge=0, le=366)] = 2

    def __post_init__(self) -> None:
        longest = longest_days(self.streams.log_max_age_days)
        if self.log_retention_days > longest:
            raise ValueError(
                f"VULCAN_LOG_RETENTION_DAYS is {self.log_retention_days}, but the log stream restores {longest} days; "
                f"raise VULCAN_STREAMS_LOG_MAX_AGE_DAYS to {self.log_retention_days + 1} or more"
            )
