"""From the files that a run left to stored artifacts: safe names, bounded number and size, streamed."""

import asyncio
import mimetypes
from collections.abc import AsyncIterator
from typing import Final, Protocol

from msgspec import Struct

from vulcan_contracts import subjects
from vulcan_contracts.outcome import Artifact
from vulcan_contracts.paths import path_problem
from vulcan_contracts.reasons import Reason
from vulcan_eventstore.errors import BusClosedError, EventStoreUnavailableError
from vulcan_sandbox.attempt import Attempt, AttemptGoneError
from vulcan_sandbox.protocol import BackendFaultError, ProducedArtifact, RunRefusedError, Sandbox
from vulcan_sandbox.settings import ExecutorSettings

_MIB: Final = 1_048_576
_PAUSE_S: Final = 0.5
_UNKNOWN_TYPE: Final = "application/octet-stream"


class StoredBlob(Protocol):
    """What a blob store says of what it took."""

    @property
    def size_bytes(self) -> int:
        """How long it is."""
        ...

    @property
    def sha256(self) -> str:
        """Its digest, in hex."""
        ...


class BlobStore(Protocol):
    """Where artifacts go."""

    async def put(self, name: str, chunks: AsyncIterator[bytes]) -> StoredBlob:
        """Store a blob under a name, in place of what was there."""
        ...


class ArtifactLimits(Struct, frozen=True, kw_only=True):
    """How many artifacts a run may leave, and how large they may be together."""

    max_count: int
    max_mb: int


async def store(
    produced: list[ProducedArtifact],
    *,
    tenant: str,
    workload_id: str,
    attempt: int,
    blobs: BlobStore,
    limits: ArtifactLimits,
) -> list[Artifact]:
    """Store every artifact, in the order of their names.

    Raises:
        RunRefusedError: there are too many, or too much of them (`disk_limit`).
        BackendFaultError: the backend gave a name that is not safe, or one twice, or could not read one.
        EventStoreError: the store did not take it.
    """
    if len(produced) > limits.max_count:
        message = f"The run left {len(produced)} artifacts; at most {limits.max_count} are kept."
        raise RunRefusedError(Reason.DISK_LIMIT, message)
    budget = _Budget(limits.max_mb)
    stored: list[Artifact] = []
    names: set[str] = set()
    for artifact in sorted(produced, key=lambda one: one.name):
        name = artifact.name
        if path_problem(name) is not None or name in names:
            raise BackendFaultError(f"The backend named an artifact {name[:120]!a}, which cannot be.")
        names.add(name)
        blob = await blobs.put(subjects.artifact_blob(tenant, workload_id, attempt, name), budget.spend(artifact))
        media_type, encoding = mimetypes.guess_type(name)
        kind = media_type if media_type is not None and encoding is None else _UNKNOWN_TYPE
        stored.append(Artifact(name=name, size_bytes=blob.size_bytes, sha256=blob.sha256, media_type=kind))
    return stored


async def keep(sandbox: Sandbox, attempt: Attempt, blobs: BlobStore, settings: ExecutorSettings) -> list[Artifact]:
    """Collect and store what the workload wants kept, as long as the attempt is ours.

    Raises:
        AttemptGoneError: the attempt is another's now.
        RunRefusedError: too many, or too much (`disk_limit`).
        BackendFaultError: they cannot be collected, or not be stored in time.
    """
    spec = attempt.workload.spec
    limits = ArtifactLimits(max_count=settings.max_artifacts, max_mb=spec.resources.disk_mb)
    try:
        async with asyncio.timeout(settings.artifact_timeout_s):
            produced = await sandbox.artifacts(spec.artifacts)
            while produced:
                try:
                    if await attempt.standing() == "gone":
                        raise AttemptGoneError("another has the attempt")
                    return await store(
                        produced,
                        tenant=attempt.workload.tenant,
                        workload_id=attempt.workload.id,
                        attempt=attempt.workload.attempt,
                        blobs=blobs,
                        limits=limits,
                    )
                except BusClosedError:
                    raise
                except EventStoreUnavailableError:
                    await asyncio.sleep(_PAUSE_S)
            return []
    except TimeoutError as error:
        message = f"The artifacts could not be stored within {settings.artifact_timeout_s:g} s."
        raise BackendFaultError(message) from error


class _Budget:
    def __init__(self, max_mb: int) -> None:
        self._max_mb = max_mb
        self._left = max_mb * _MIB

    async def spend(self, artifact: ProducedArtifact) -> AsyncIterator[bytes]:
        async for chunk in artifact.chunks():
            self._left -= len(chunk)
            if self._left < 0:
                message = f"The artifacts are larger than the disk limit of {self._max_mb} MiB, at {artifact.name!a}."
                raise RunRefusedError(Reason.DISK_LIMIT, message)
            yield chunk
