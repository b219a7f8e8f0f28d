"""What the scheduler tells about its queue: a snapshot that it broadcasts, and the answer to one question."""

from msgspec import Struct


class TenantLoad(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How much one tenant has waiting and running."""

    waiting: int = 0
    running: int = 0


class QueueSnapshot(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The load of every tenant that has any, as of event `seq`."""

    seq: int
    tenants: dict[str, TenantLoad]


class ExplainRequest(Struct, frozen=True, kw_only=True):
    """Why does this workload wait?"""

    tenant: str
    workload_id: str


class Explanation(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a workload waits, in words, and its place among its tenant's waiting ones (1 is next; None: not queued)."""

    pending_reason: str
    position: int | None = None
