"""Every NATS name in one place: streams, subjects, buckets.

Events: `evt.<tenant>.workload.<id>.<type>`; the fence of an append spans `evt.<tenant>.workload.<id>.*`.
Log batches: `log.<tenant>.<id>`. Both streams republish what they store under `live.`, for readers that follow
along without a consumer each.
"""

from typing import Final

EVENTS_STREAM: Final = "EVENTS"
LOGS_STREAM: Final = "LOGS"
DISPATCH_STREAM: Final = "DISPATCH"

ALL_EVENTS: Final = "evt.>"
ALL_LOGS: Final = "log.>"
ALL_DISPATCH: Final = "dispatch.>"
LIVE_PREFIX: Final = "live."

KEYS_BUCKET: Final = "vulcan_keys"
TENANTS_BUCKET: Final = "vulcan_tenants"
NODES_BUCKET: Final = "vulcan_nodes"
LEASES_BUCKET: Final = "vulcan_leases"
BLOBS_BUCKET: Final = "vulcan_blobs"
CHECKPOINTS_BUCKET: Final = "vulcan_checkpoints"

HEARTBEATS: Final = "node.heartbeat"
QUEUE_SNAPSHOT: Final = "queue.snapshot"
EXPLAIN_REQUEST: Final = "queue.explain"
REBUILD_REQUEST: Final = "projection.rebuild"
REBUILD_STATUS: Final = "projection.status"


def event(tenant: str, workload_id: str, event_type: str) -> str:
    """The subject one event is stored under."""
    return f"evt.{tenant}.workload.{workload_id}.{event_type}"


def workload_events(tenant: str, workload_id: str) -> str:
    """All events of one workload: what the fence of an append spans."""
    return f"evt.{tenant}.workload.{workload_id}.*"


def tenant_events(tenant: str, event_type: str = "*") -> str:
    """All events of one tenant, or all of one type; `tenant="*"` means every tenant."""
    return f"evt.{tenant}.workload.*.{event_type}"


def log(tenant: str, workload_id: str) -> str:
    """The subject that one workload's log batches are stored under."""
    return f"log.{tenant}.{workload_id}"


def dispatch(node: str) -> str:
    """The queue of one node."""
    return f"dispatch.{node}"


def lease_holder(lease: str, token: str) -> str:
    """Where one who holds a lease can be asked whether it is there."""
    return f"lease.{lease}.{token}"


def hint(node: str) -> str:
    """Where the scheduler says what it is about to put into the node's queue."""
    return f"hint.{node}"


def live(subject: str) -> str:
    """Where the server republishes what it stored under `subject`."""
    return LIVE_PREFIX + subject


def source_blob(tenant: str, digest: str) -> str:
    """The name of an uploaded archive: one copy per tenant and content."""
    return f"{tenant}/sources/{digest}"


def artifact_blob(tenant: str, workload_id: str, attempt: int, name: str) -> str:
    """The name of a stored artifact. An attempt has its own: one that is lost and does not know overwrites nothing."""
    return f"{tenant}/artifacts/{workload_id}/{attempt}/{name}"
