"""What the HTTP API answers. Times are UTC; durations are in the unit that the name ends with."""

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from vulcan_contracts.logs import LogLine
from vulcan_contracts.nodes import BackendReport, Capacity, NodeState
from vulcan_contracts.outcome import Artifact, Usage
from vulcan_contracts.reasons import Reason
from vulcan_contracts.spec import Backend, Isolation, Runtime, Spec
from vulcan_contracts.tenants import Quotas, Role, Tenant
from vulcan_contracts.workload import State


class Timings(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where the time of the last attempt went, in milliseconds; None for what has not happened.

    queued: submitted (or last retried) to scheduled. dispatched: scheduled to started. sandbox_ready: claimed to ready.
    first_output and run: from ready. total: submitted to ended.
    """

    queued_ms: float | None = None
    dispatched_ms: float | None = None
    sandbox_ready_ms: float | None = None
    first_output_ms: float | None = None
    run_ms: float | None = None
    total_ms: float | None = None


class WorkloadSummary(Struct, frozen=True, kw_only=True):
    """A workload as it stands in a list."""

    id: str
    state: State
    reason: Reason | None
    message: str
    exit_code: int | None
    isolation: Isolation
    """What was asked for; `backend` is what it became."""
    backend: Backend | None
    runtime: Runtime | None
    source_type: str
    node: str | None
    attempt: int
    priority: int
    labels: dict[str, str]
    submitted_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    replay_of: str | None


class WorkloadView(WorkloadSummary, frozen=True, kw_only=True):
    """One workload in full. `stdout` and `stderr` are the first part of what it printed; `logs` has all of it."""

    isolation_reason: str | None
    signal: int | None
    result: Any
    stdout: str
    stdout_truncated: bool
    stderr: str
    stderr_truncated: bool
    artifacts: list[Artifact]
    usage: Usage | None
    timings: Timings
    pending_reason: str | None
    queue_position: int | None
    kill_requested: bool
    deleted: bool
    version: int
    image_digest: str | None
    trace_id: str | None
    spec: Spec


class EventView(Struct, frozen=True, kw_only=True):
    """One event of a workload's history. `seq` is its place in the whole log and the cursor of event streams."""

    seq: int
    id: str
    type: str
    workload_id: str
    version: int
    attempt: int
    actor: str
    time: datetime
    data: Any


class WorkloadPage(Struct, frozen=True, kw_only=True):
    """A page of workloads, newest first."""

    items: list[WorkloadSummary]
    next_cursor: str | None
    has_more: bool


class LogPage(Struct, frozen=True, kw_only=True):
    """A page of log lines, oldest first. `next_cursor` goes into `after`."""

    items: list[LogLine]
    next_cursor: str | None
    has_more: bool


class EventPage(Struct, frozen=True, kw_only=True):
    """A page of events, oldest first. `next_cursor` goes into `after`."""

    items: list[EventView]
    next_cursor: str | None
    has_more: bool


class LogsDone(Struct, frozen=True, kw_only=True):
    """The last message of a log stream: how the workload ended."""

    state: State
    reason: Reason | None
    message: str
    exit_code: int | None
    last_line: int


class BackendView(Struct, frozen=True, kw_only=True):
    """One kind of isolation over all nodes: whether it works, where, and what is missing if it does not."""

    isolation: Backend
    available: bool
    nodes: list[str]
    report: BackendReport | None
    capacity: Capacity
    used: Capacity
    unavailable_reason: str
    hint: str


class NodeView(Struct, frozen=True, kw_only=True):
    """One executor. `lost` once it has missed its heartbeats."""

    node: str
    incarnation: str
    state: NodeState | Literal["lost"]
    draining: bool
    last_seen: datetime
    version: str
    backend: BackendReport
    capacity: Capacity
    used: Capacity
    cached_images: list[str]


class ArtifactList(Struct, frozen=True, kw_only=True):
    """The artifacts of a workload."""

    items: list[Artifact]


class BackendList(Struct, frozen=True, kw_only=True):
    """Every kind of isolation."""

    items: list[BackendView]


class NodeList(Struct, frozen=True, kw_only=True):
    """Every executor."""

    items: list[NodeView]


class Quantiles(Struct, frozen=True, kw_only=True):
    """Milliseconds; None where nothing was measured."""

    p50: float | None
    p95: float | None
    p99: float | None


class BackendStats(Struct, frozen=True, kw_only=True):
    """What one backend did for the caller's tenant in the window."""

    backend: Backend | None
    pending: int
    running: int
    completed: int
    failed: int
    killed: int
    reasons: dict[str, int]
    total_ms: Quantiles
    run_ms: Quantiles
    sandbox_ready_ms: Quantiles


class Stats(Struct, frozen=True, kw_only=True):
    """Counts per backend of the caller's tenant over the last `window_s` seconds (None: all time)."""

    window_s: float | None
    backends: list[BackendStats]
    waiting: int
    running: int


class KeyView(Struct, frozen=True, kw_only=True):
    """An API key without its secret."""

    id: str
    tenant: str
    role: Role
    name: str
    created_at: datetime


class NewKey(KeyView, frozen=True, kw_only=True):
    """A key just made: the only time that `key` is shown."""

    key: str


class KeyList(Struct, frozen=True, kw_only=True):
    """API keys, without their secrets."""

    items: list[KeyView]


class WhoAmI(Struct, frozen=True, kw_only=True):
    """Whose key a request carries."""

    key_id: str
    tenant: str
    role: Role
    name: str


class TenantList(Struct, frozen=True, kw_only=True):
    """Tenants with settings of their own."""

    items: list[Tenant]


class KeyRequest(Struct, frozen=True, kw_only=True):
    """What kind of key to make. `tenant` None means the caller's own."""

    role: Role = "writer"
    tenant: Annotated[str, Meta(pattern=r"^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$(?!\n)")] | None = None
    name: Annotated[str, Meta(max_length=128, pattern=r"^[^\x00-\x1f\x7f]*$(?!\n)")] = ""


class TenantRequest(Struct, frozen=True, kw_only=True):
    """A tenant's settings to store."""

    quotas: Quotas = Quotas()
    log_retention_days: Annotated[int, Meta(ge=1, le=3650)] | None = None


class DrainRequest(Struct, frozen=True, kw_only=True):
    """Whether the node is to take no new work (`drain` true) or again (false)."""

    drain: bool = True
