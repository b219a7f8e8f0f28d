"""A workload as a row: everything that lists, filters and statistics need, and no more."""

from datetime import datetime

from msgspec import Struct


class WorkloadRow(Struct, frozen=True, kw_only=True):
    """One row of `workloads`. The fields are the columns, in this order; `labels` is JSON text."""

    id: str
    tenant: str
    state: str
    reason: str | None = None
    message: str = ""
    exit_code: int | None = None
    isolation: str
    backend: str | None = None
    runtime: str | None = None
    source_type: str
    node: str | None = None
    attempt: int
    priority: int
    labels: str
    submitted_at: datetime
    waiting_since: datetime
    scheduled_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    replay_of: str | None = None
    kill_requested: bool = False
    deleted: bool = False
    version: int
    seq: int
    last_line: int = 0
    queued_ms: float | None = None
    dispatched_ms: float | None = None
    sandbox_ready_ms: float | None = None
    first_output_ms: float | None = None
    run_ms: float | None = None
    total_ms: float | None = None
