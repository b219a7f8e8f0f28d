"""What an executor can be told, whatever its backend."""

import re
import socket
from typing import Annotated

from msgspec import Meta, Struct

from vulcan_contracts.spec import Backend

Positive = Annotated[float, Meta(gt=0)]


class ExecutorSettings(Struct, frozen=True, kw_only=True):
    """The run loop's clocks and bounds. As field `executor` of a service's settings: `VULCAN_EXECUTOR_...`."""

    heartbeat_interval_s: Positive = 1.0
    probe_interval_s: Positive = 30.0
    """How often a backend that does not work is tried again."""
    claim_wait_s: Positive = 5.0
    """How long one pull waits for work."""
    command_deadline_s: Positive = 10.0
    """How long one append to the event log is tried before the run loop looks around again."""
    start_early: bool = True
    """Whether code that reaches no network may run while `started` is on its way to the log. Its output waits."""
    hint_patience_s: Positive = 2.0
    """How long what was begun on the scheduler's hint waits for the assignment itself."""
    image_wait_s: Annotated[float, Meta(ge=0)] = 1.0
    """How long `started` may wait for an OCI image, so that it can name the digest."""
    prepare_timeout_s: Positive = 300.0
    start_timeout_s: Positive = 30.0
    kill_slack_s: Positive = 5.0
    """How long a sandbox may take to die, beyond its grace, before it is destroyed as it stands."""
    close_timeout_s: Positive = 30.0
    stall_s: Positive = 1.0
    """Output that waits longer than this on the log stops the run's wall clock: the platform is slow, not the code."""
    recheck_interval_s: Positive = 10.0
    """How often each run is compared with the log: still ours, not to be killed."""
    end_deadline_s: Positive = 600.0
    """How long the end of a run is held for an event log that is away; after it, the executor gives up and restarts."""
    artifact_timeout_s: Positive = 120.0
    drain_s: Annotated[float, Meta(ge=0)] = 8.0
    """How long an orderly stop lets runs end by themselves."""
    stop_kill_s: Positive = 6.0
    """How long it then takes to end the others and to say so."""
    stop_grace_s: Annotated[float, Meta(ge=0)] = 2.0
    """The longest grace that a run has at a stop."""
    max_line_bytes: Annotated[int, Meta(ge=64, le=262_144)] = 16_384
    max_result_bytes: Annotated[int, Meta(ge=0, le=524_288)] = 262_144
    max_message_bytes: Annotated[int, Meta(ge=64, le=65_536)] = 4096
    max_artifacts: Annotated[int, Meta(ge=0, le=10_000)] = 256
    max_archive_entries: Annotated[int, Meta(ge=1)] = 10_000
    scratch_dir: str = ""
    """Where archives are put while they are unpacked; empty: the system's folder for temporary files."""


def node_id(configured: str, isolation: Backend) -> str:
    """The node's id: as configured, or made of the host's name and the isolation."""
    if configured:
        return configured
    host = re.sub(r"[^a-z0-9-]+", "-", socket.gethostname().lower()).strip("-") or "node"
    return f"{host[: 62 - len(isolation)].strip('-')}-{isolation}"
