"""What the logstore measures. `projection` is `workloads` or `log_lines`."""

from typing import Final, Self

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_BUCKETS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """The logstore's metrics in one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        label = ["projection"]
        self.position = Gauge(
            "vulcan_projection_position", "Stream sequence projected so far.", label, registry=registry
        )
        self.lag_messages = Gauge(
            "vulcan_projection_lag_messages",
            "Messages in the stream that are not projected yet.",
            label,
            registry=registry,
        )
        self.lag_seconds = Gauge(
            "vulcan_projection_lag_seconds",
            "How long the oldest message that is not projected yet may have waited; 0 if there is none.",
            label,
            registry=registry,
        )
        self.rows = Counter("vulcan_projection_rows", "Rows written.", label, registry=registry)
        self.skipped = Counter(
            "vulcan_projection_skipped", "Messages that could not be projected, ever.", label, registry=registry
        )
        self.retries = Counter(
            "vulcan_projection_retries",
            "Transactions to be tried again, Postgres being away.",
            label,
            registry=registry,
        )
        self.commit_seconds = Histogram(
            "vulcan_projection_commit_seconds", "One transaction.", label, buckets=_BUCKETS_S, registry=registry
        )
        self.partitions_dropped = Counter(
            "vulcan_log_partitions_dropped", "Days of log lines dropped, their time being over.", registry=registry
        )
        self.rebuilds = Counter("vulcan_projection_rebuilds", "Rebuilds that ended.", ["state"], registry=registry)

    @classmethod
    def unseen(cls) -> Self:
        """For work beside the real one, such as a rebuild's."""
        return cls(CollectorRegistry())
