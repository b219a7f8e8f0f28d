"""Uploaded archives: refused at the door if they could not be unpacked later, stored once per tenant and content."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from vulcan_contracts import subjects
from vulcan_contracts.problem import FieldError
from vulcan_contracts.spec import ArchiveSource, Spec
from vulcan_eventstore.blobs import Blobs
from vulcan_gateway.domain.refusals import Refusal
from vulcan_gateway.settings import LimitSettings
from vulcan_sandbox.archive import ArchiveInfo, ArchiveLimits, ArchiveRefusedError, inspect
from vulcan_sandbox.threads import run_cancellable

_CHUNK_BYTES: Final = 128 * 1024


async def check_archive(path: Path, spec: Spec, limits: LimitSettings) -> ArchiveInfo:
    """What is in an archive that this spec can run.

    Raises:
        Refusal: `invalid_archive`; it is broken, unsafe, larger than the run's disk or than the gateway is ready to
            look through, or lacks the entrypoint.
    """
    max_bytes = min(spec.resources.disk_mb << 20, limits.archive_unpacked_bytes)
    within = ArchiveLimits(max_bytes=max_bytes, max_entries=limits.archive_entries)
    entrypoint = spec.source.entrypoint if isinstance(spec.source, ArchiveSource) else None
    try:
        async with asyncio.timeout(limits.archive_inspect_timeout_s):
            return await run_cancellable(
                lambda cancelled: inspect(path, within, entrypoint=entrypoint, cancelled=cancelled)
            )
    except ArchiveRefusedError as error:
        raise _refusal(str(error)) from error
    except TimeoutError as error:
        raise _refusal("It takes too long to look through.") from error


def _refusal(message: str) -> Refusal:
    return Refusal("invalid_archive", message, errors=[FieldError(field="archive", message=message)])


async def store_archive(blobs: Blobs, tenant: str, path: Path, sha256: str) -> None:
    """Store the archive's bytes, unless the tenant has uploaded the same before.

    Raises:
        EventStoreUnavailableError: NATS does not answer.
    """
    name = subjects.source_blob(tenant, sha256)
    if await blobs.info(name) is None:
        await blobs.put(name, _chunks(path))


async def _chunks(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb", buffering=0) as file:
        while chunk := await asyncio.to_thread(file.read, _CHUNK_BYTES):
            yield chunk
