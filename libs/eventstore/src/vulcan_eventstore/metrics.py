"""The event store's Prometheus metrics, in the default registry. Labels are closed sets."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

_LATENCY_BUCKETS: Final = (
    0.00025,
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
)

APPEND_SECONDS: Final = Histogram(
    "vulcan_eventstore_append_seconds",
    "From a command until its event was acknowledged or refused, retries included",
    buckets=_LATENCY_BUCKETS,
)
FENCE_CONFLICTS: Final = Counter(
    "vulcan_eventstore_fence_conflicts_total", "Appends that lost against another writer and were decided again"
)
RETRIES: Final = Counter(
    "vulcan_eventstore_retries_total", "Writes repeated because their outcome was unknown", ["kind"]
)
RECONNECTS: Final = Counter("vulcan_eventstore_reconnects_total", "Connections to NATS that were lost and came back")
CONNECTED: Final = Gauge("vulcan_eventstore_connected", "1 while the connection to NATS is up")
RESUMES: Final = Counter(
    "vulcan_eventstore_follower_resumes_total", "Followers that went on with a new consumer", ["stream"]
)
SKIPPED: Final = Counter(
    "vulcan_eventstore_undecodable_total", "Stored messages that are not what their subject promises", ["stream"]
)
OVERFLOWS: Final = Counter(
    "vulcan_eventstore_live_overflows_total", "Times that a live subscription had to drop messages and said so"
)
