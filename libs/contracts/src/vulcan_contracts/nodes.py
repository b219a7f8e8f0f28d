"""Nodes: what an executor tells about itself in each heartbeat."""

from datetime import datetime
from typing import Any, Literal

from msgspec import Struct

from vulcan_contracts.spec import Backend

NodeState = Literal["ready", "draining", "stopping", "stopped"]


class Capacity(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a node can hold at once, or holds now: cores, MiB and runs."""

    cpus: float
    memory_mb: int
    slots: int


class BackendReport(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a backend found when it probed: what really works here, not what is configured.

    engine: `deno 2.9.8`. runtimes: those it can run; images: whether OCI images run. features: the spec's options that
    work (`egress`, `npm`, ...). boundary: what holds hostile code, in words. warnings: what is weaker than it could
    be here, and what to do. unavailable_reason and hint: why it does not work at all, and what to do. details: what
    else is worth knowing; `emulated` true where a machine is emulated in software, which the scheduler avoids.
    """

    isolation: Backend
    available: bool
    engine: str = ""
    runtimes: list[str] = []
    images: bool = False
    features: list[str] = []
    boundary: str = ""
    warnings: list[str] = []
    unavailable_reason: str = ""
    hint: str = ""
    details: dict[str, Any] = {}


class Heartbeat(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One sign of life. `incarnation` changes with every start of the executor process."""

    node: str
    incarnation: str
    state: NodeState
    time: datetime
    version: str
    backend: BackendReport
    capacity: Capacity
    used: Capacity
    interval_s: float = 1.0
    cached_images: list[str] = []
