"""What a backend is: the one interface behind which V8, gVisor and microVMs look alike.

A backend prepares a sandbox for one attempt; the run loop starts it, reads it, ends it and closes it. Clocks, log
lines, events and artifacts' storage are the run loop's; isolation, resource limits and usage are the backend's.
"""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Literal, Protocol

from msgspec import Struct

from vulcan_contracts.nodes import BackendReport, Capacity
from vulcan_contracts.outcome import Usage
from vulcan_contracts.reasons import Reason
from vulcan_contracts.spec import Backend as Isolation
from vulcan_contracts.spec import Spec

OutputStream = Literal["stdout", "stderr"]


class RunRefusedError(Exception):
    """The run cannot start, for a reason that belongs to the user (`invalid_source`, `image_unavailable`, ...)."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class BackendFaultError(Exception):
    """The platform failed, not the run: it ends with `backend_error`."""


class SourceTree(Protocol):
    """The workload's files, not yet written anywhere."""

    @property
    def entrypoint(self) -> str:
        """The relative path of the file that starts."""
        ...

    async def write_to(self, folder: Path) -> None:
        """Write every file below an existing, empty folder.

        Raises:
            RunRefusedError: the archive is broken, unsafe, larger than the run's disk limit, or lacks the entrypoint.
        """
        ...


class RunRequest(Struct, frozen=True, kw_only=True):
    """One attempt, ready to be given a sandbox. `source` is None for an OCI image."""

    workload_id: str
    tenant: str
    attempt: int
    spec: Spec
    source: SourceTree | None


class Exit(Struct, frozen=True, kw_only=True):
    """How the code in a sandbox ended, as its backend saw it.

    reason None with exit_code 0 is success. A backend sets `reason` for what only it can tell (out_of_memory,
    cpu_limit, pids_limit, disk_limit, invalid_source, backend_error); the run loop adds exit_nonzero, signaled,
    timed_out, output_limit, killed_by_user. An exit with neither code, signal nor reason is a fault of the backend,
    and so is a signal that the host sent for its own sake: give it `backend_error`. `message` is for the user: an
    uncaught error's first line, say. `has_result` tells a result of null from none.
    """

    exit_code: int | None = None
    signal: int | None = None
    reason: Reason | None = None
    message: str = ""
    has_result: bool = False
    result: Any = None
    usage: Usage = Usage()


class ProducedArtifact(Protocol):
    """A file the run left, still inside its sandbox."""

    @property
    def name(self) -> str:
        """Its relative path, safe, `/` between parts."""
        ...

    @property
    def size_bytes(self) -> int:
        """Its size."""
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """Its content, from the beginning at every call.

        Raises:
            BackendFaultError: it cannot be read.
        """
        ...


class OutputSink(Protocol):
    """Takes what the code prints, in order. Awaiting it is the backpressure: until it returns, a backend reads no more.

    Calls for one stream must follow one another; the two streams may be read by two tasks. Once the run is being ended
    it swallows what comes, at once, so that a backend can always read to the end.
    """

    async def __call__(self, stream: OutputStream, data: bytes) -> None:
        """Take some bytes; never raises."""
        ...


class Sandbox(Protocol):
    """One prepared sandbox, for one attempt. Methods are called in the order below; kill and close at any time."""

    @property
    def image_digest(self) -> str | None:
        """The digest of the OCI image it runs, or None."""
        ...

    async def start(self, sink: OutputSink) -> None:
        """Let the code run.

        Raises:
            BackendFaultError: it could not be started.
        """
        ...

    async def wait(self) -> Exit:
        """The end of the code, after the last byte of its output went into the sink.

        Raises:
            BackendFaultError: nobody can tell how it ended.
        """
        ...

    async def kill(self, grace_s: float) -> None:
        """Ask the code to end, and end it after the grace; `wait` then returns. Harmless when it has ended.

        Called again with a shorter grace (0: at once), the shorter one counts. Before `start` it means that the code
        shall never run.
        """
        ...

    async def artifacts(self, patterns: list[str]) -> list[ProducedArtifact]:
        """The files that match, after the end of the code and before `close`; bounded by the run's disk limit.

        A pattern is a relative path in which `*` and `?` match within one part and `**` any number of parts. Links are
        not followed and do not match.

        Raises:
            BackendFaultError: they cannot be listed.
        """
        ...

    async def close(self) -> None:
        """Destroy everything the sandbox is made of, running or not; after it, nothing of it is left.

        Safe to repeat, and at any point, also while another method waits: that one then returns or raises soon.
        """
        ...


class Backend(Protocol):
    """One way to isolate."""

    @property
    def isolation(self) -> Isolation:
        """Which one."""
        ...

    @property
    def capacity(self) -> Capacity:
        """What this node can hold at once."""
        ...

    async def probe(self) -> BackendReport:
        """Find out what really works here, by trying it."""
        ...

    async def recover(self) -> None:
        """Destroy what an earlier life of this executor left behind."""
        ...

    async def prepare(self, run: RunRequest, say: Callable[[str], None]) -> Sandbox:
        """Make a sandbox. `say` writes a `system` log line, for what takes long.

        It may be called before the attempt is owned, so that the code of the run must not run in here; and it may be
        cancelled, after which nothing of the sandbox is left.

        Raises:
            RunRefusedError: for a reason that belongs to the user.
            BackendFaultError: for one that does not.
        """
        ...

    async def close(self) -> None:
        """End every sandbox and whatever the backend keeps warm."""
        ...
