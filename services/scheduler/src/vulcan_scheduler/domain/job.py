"""A workload as the scheduler keeps it: what deciding needs, and the full state only where that is small."""

from typing import Literal

from msgspec import Struct

from vulcan_contracts.spec import Backend
from vulcan_contracts.workload import Workload
from vulcan_scheduler.domain.need import Need

Phase = Literal["waiting", "assigned", "running"]


class Job(Struct, kw_only=True, omit_defaults=True, eq=False):
    """A workload that has not ended. Times are Unix seconds.

    order: the sequence number of its first event, which is first come, first served. seq, version: of its last event.
    assigned: given to a node and not started. state: what the log says, None where it was too large to keep.
    last_node: where the attempt before this one, or a dispatch that came to nothing, was. queued: stands in a lane, or
    waits for its backoff to end. offers: how often this attempt was given to a node.
    """

    id: str
    tenant: str
    need: Need
    priority: int
    order: int
    submitted_at: float
    queue_ttl_s: float
    seq: int
    version: int
    attempt: int = 1
    phase: Phase = "waiting"
    isolation: Backend | None = None
    node: str | None = None
    incarnation: str | None = None
    not_before: float | None = None
    assigned_at: float | None = None
    traceparent: str | None = None
    state: Workload | None = None
    state_bytes: int = 0
    last_node: str | None = None
    queued: bool = False
    offers: int = 0

    @property
    def rank(self) -> tuple[int, int]:
        """Its place among its tenant's waiting ones: smaller goes first."""
        return (-self.priority, self.order)

    @property
    def waiting_since(self) -> float:
        """When the current attempt began to wait."""
        return self.submitted_at if self.not_before is None else self.not_before

    @property
    def expires_at(self) -> float:
        """When it has waited longer than its queue TTL."""
        return self.waiting_since + self.queue_ttl_s
