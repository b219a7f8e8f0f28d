"""What every run of an executor works with."""

from typing import Protocol

from msgspec import Struct

from vulcan_contracts.workload import Workload
from vulcan_sandbox.artifacts import BlobStore
from vulcan_sandbox.metrics import RunMetrics
from vulcan_sandbox.protocol import Backend
from vulcan_sandbox.run_log import LineWriter
from vulcan_sandbox.settings import ExecutorSettings
from vulcan_sandbox.source import BlobSource


class Blobs(BlobSource, BlobStore, Protocol):
    """Uploaded archives, and artifacts."""


class LogDoor(Protocol):
    """Where a run's log is opened, and read back when writing it failed."""

    async def open(self, workload: Workload) -> LineWriter:
        """A writer for the workload's present attempt."""
        ...

    async def last_line(self, workload: Workload) -> int:
        """The number of the last line that is stored."""
        ...


class Host(Struct, frozen=True, kw_only=True):
    """The backend, the stores and the settings; one for all runs."""

    backend: Backend
    blobs: Blobs
    log_door: LogDoor
    settings: ExecutorSettings
    metrics: RunMetrics
