"""How one attempt of a workload ended: the part of an ending event that the executor fills in."""

from typing import Any

from msgspec import Struct

from vulcan_contracts.reasons import Reason


class Artifact(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A file that a workload declared and left behind. `name` is its relative path, `/` between parts."""

    name: str
    size_bytes: int
    sha256: str
    media_type: str = "application/octet-stream"


class Usage(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an attempt consumed; None where the backend could not measure it."""

    wall_ms: float = 0.0
    cpu_ms: float | None = None
    max_memory_bytes: int | None = None
    output_bytes: int = 0


class RunClock(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Durations of an attempt as its executor measured them on one monotonic clock, in milliseconds.

    prepare_ms: from the claim to a sandbox that is ready. first_output_ms: from ready to the first byte printed
    (None: nothing was). run_ms: from ready to the exit.
    """

    prepare_ms: float = 0.0
    first_output_ms: float | None = None
    run_ms: float = 0.0


class Outcome(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The end of an attempt. `reason` None means that it completed."""

    reason: Reason | None = None
    message: str = ""
    exit_code: int | None = None
    signal: int | None = None
    result: Any = None
    artifacts: list[Artifact] = []
    usage: Usage = Usage()
    clock: RunClock = RunClock()
    last_line: int = 0
    """The sequence number of the workload's last log line; 0 when it printed nothing."""
