"""What the V8 backend can be told. As field `v8` of the service's settings: `VULCAN_V8_...`."""

from typing import Annotated

from msgspec import Meta, Struct

Positive = Annotated[float, Meta(gt=0)]
Count = Annotated[int, Meta(ge=0)]


class V8Settings(Struct, frozen=True, kw_only=True):
    """The jail, the pool of hosts, the limits and what this node offers."""

    deno: str = ""
    """The Deno program; empty: the one that came with this package."""
    run_dir: str = ""
    """Where hosts keep their sockets and sources; empty: below /run, XDG_RUNTIME_DIR or the temporary folder."""
    npm_dir: str = ""
    """A prefilled DENO_DIR: the npm packages in it, and no others, can be imported. Empty: none."""

    slots: Count = 0
    """Runs at once; 0: cores times `overcommit`."""
    overcommit: Positive = 4.0
    """How often each core is promised: V8 runs are short and mostly wait."""
    memory_mb: Count = 0
    """Memory that runs may be promised together; 0: half of the machine's."""

    warm_hosts: Count = 4
    """Hosts that wait ready when nothing happens."""
    max_warm_hosts: Count = 32
    """How many may wait when much happens."""
    kept_hosts: Count = 32
    """Hosts kept for their tenant's next run, all tenants together."""
    keep_s: Positive = 30.0
    """How long a host waits for its tenant's next run."""
    reuse: bool = True
    """Whether a host may serve its tenant again after an end that is proved clean."""
    max_runs_per_host: Annotated[int, Meta(ge=1)] = 200
    starters: Count = 0
    """Hosts started at once; 0: one per core."""

    heap_classes_mb: tuple[int, ...] = (128, 512, 2048, 8192)
    """V8 heap limits that hosts are started with; a run gets the smallest that holds its memory_mb."""
    overhead_mb: Annotated[int, Meta(ge=16)] = 64
    """Memory of a host beside the run's own: a run's total is bounded by memory_mb plus this."""
    overhead_pids: Annotated[int, Meta(ge=8)] = 24
    """Threads of a host beside the run's own."""
    scratch_mb: Annotated[int, Meta(ge=1)] = 1
    """The jail's only writable folders, in memory; user code has no permission to write there."""

    start_timeout_s: Positive = 15.0
    renew_timeout_s: Positive = 2.0
    return_timeout_s: Positive = 0.25
    """How long a run waits for one of its tenant's own hosts to be ready again, before it gets another host."""
    clean_timeout_s: Positive = 2.0
    """How long a host has to show that a run left nothing behind; then it is killed."""
    kill_timeout_s: Positive = 5.0
    watch_interval_s: Positive = 0.05
    """How often CPU time (and memory, where no cgroup holds it) of running code is read."""
    max_frame_bytes: Annotated[int, Meta(ge=65_536)] = 4_194_304
    """The largest result a host may hand over; the run loop keeps less."""
    connect_timeout_s: Positive = 10.0
    """How long the egress proxy tries to reach a destination."""
    max_connections: Annotated[int, Meta(ge=1)] = 64
    """Connections that one run may hold through the egress proxy."""

    jail: str = "auto"
    """`auto`, or the jail level to insist on: `bwrap`, `userns`, `none`."""
