"""The workload's own files: from its spec, or from the archive that was uploaded with it, into an empty folder."""

import asyncio
import hashlib
import os
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final, Protocol

from vulcan_contracts import subjects
from vulcan_contracts.paths import path_problem
from vulcan_contracts.reasons import Reason
from vulcan_contracts.spec import ArchiveSource, FilesSource, ImageSource, InlineSource, Runtime, Spec
from vulcan_eventstore.errors import EventStoreError
from vulcan_sandbox import archive
from vulcan_sandbox.protocol import BackendFaultError, RunRefusedError, SourceTree
from vulcan_sandbox.settings import ExecutorSettings
from vulcan_sandbox.threads import run_cancellable

INLINE_ENTRYPOINTS: Final[dict[Runtime, str]] = {
    "javascript": "main.js",
    "typescript": "main.ts",
    "python": "main.py",
    "node": "main.js",
    "go": "main.go",
    "shell": "main.sh",
}
_MIB: Final = 1_048_576


class BlobSource(Protocol):
    """Where uploaded archives lie."""

    def open(self, name: str) -> AsyncIterator[bytes]:
        """The content of a blob."""
        ...


def source_tree(spec: Spec, tenant: str, blobs: BlobSource, settings: ExecutorSettings) -> SourceTree | None:
    """The files of a spec, not yet written; None for an OCI image, which brings its own."""
    disk_bytes = spec.resources.disk_mb * _MIB
    match spec.source:
        case InlineSource(code=code):
            entrypoint = INLINE_ENTRYPOINTS[spec.runtime or "javascript"]
            return TextTree({entrypoint: code}, entrypoint, disk_bytes)
        case FilesSource(files=files, entrypoint=entrypoint):
            return TextTree(files, entrypoint, disk_bytes)
        case ArchiveSource() as source:
            limits = archive.ArchiveLimits(max_bytes=disk_bytes, max_entries=settings.max_archive_entries)
            return ArchiveTree(source, tenant, blobs, limits, settings.scratch_dir or None)
        case ImageSource():
            return None


class TextTree:
    """Files whose text came inside the spec."""

    def __init__(self, files: dict[str, str], entrypoint: str, max_bytes: int) -> None:
        self._files = files
        self._entrypoint = entrypoint
        self._max_bytes = max_bytes

    @property
    def entrypoint(self) -> str:
        """The relative path of the file that starts."""
        return self._entrypoint

    async def write_to(self, folder: Path) -> None:
        """Write every file below an existing, empty folder.

        Raises:
            RunRefusedError: a path is not safe, two clash, or there is too much of it.
        """
        encoded = self._encode()
        try:
            if len(encoded) == 1:  # one small file is written sooner than a thread is found
                _write_files(folder, encoded)
            else:
                await asyncio.to_thread(_write_files, folder, encoded)
        except (FileExistsError, IsADirectoryError, NotADirectoryError) as error:
            raise _refused("A file is a folder of another file at once.") from error
        except OSError as error:
            raise BackendFaultError(f"The source could not be written: {error.strerror}.") from error

    def _encode(self) -> dict[str, bytes]:
        encoded: dict[str, bytes] = {}
        for path, text in self._files.items():
            if (wrong := path_problem(path)) is not None:
                raise _refused(f"{path!a} {wrong}.")
            try:
                encoded[path] = text.encode()
            except UnicodeEncodeError as error:
                raise _refused(f"{path!a} holds half a surrogate pair, which is no text.") from error
        if self._entrypoint not in encoded:
            raise _refused(f"{self._entrypoint!a} is not among the files.")
        if sum(map(len, encoded.values())) > self._max_bytes:
            raise _refused("The files are larger than the run's disk limit.")
        return encoded


def _write_files(folder: Path, files: dict[str, bytes]) -> None:
    for path, content in files.items():
        target = folder / path
        for parent in reversed(target.relative_to(folder).parents[:-1]):
            place = folder / parent
            place.mkdir(exist_ok=True)
            place.chmod(0o755)  # the sandbox's user reads it, whatever the umask here
        with target.open("xb") as file:
            file.write(content)
            os.fchmod(file.fileno(), 0o644)


class ArchiveTree:
    """Files in an uploaded archive: downloaded to a private file, checked, unpacked in a thread."""

    def __init__(
        self,
        source: ArchiveSource,
        tenant: str,
        blobs: BlobSource,
        limits: archive.ArchiveLimits,
        scratch_dir: str | None,
    ) -> None:
        self._source = source
        self._tenant = tenant
        self._blobs = blobs
        self._limits = limits
        self._scratch_dir = scratch_dir

    @property
    def entrypoint(self) -> str:
        """The relative path of the file that starts."""
        return self._source.entrypoint

    async def write_to(self, folder: Path) -> None:
        """Write every file below an existing, empty folder.

        Raises:
            RunRefusedError: the archive is broken, unsafe, larger than the disk limit, or lacks the entrypoint.
            BackendFaultError: it cannot be had, is not the one that was uploaded, or the disk failed.
        """
        try:
            with tempfile.NamedTemporaryFile(prefix="vulcan-archive-", dir=self._scratch_dir) as local:
                await self._download(Path(local.name))
                await run_cancellable(lambda gone: self._extract(Path(local.name), folder, gone))
        except archive.ArchiveRefusedError as error:
            raise _refused(str(error)) from error
        except EventStoreError as error:
            raise BackendFaultError(f"The uploaded archive could not be read: {error}.") from error
        except OSError as error:
            raise BackendFaultError(f"The archive could not be unpacked: {error.strerror}.") from error

    async def _download(self, path: Path) -> None:
        digest = hashlib.sha256()
        size = 0
        with path.open("wb") as file:
            async for chunk in self._blobs.open(subjects.source_blob(self._tenant, self._source.sha256)):
                size += len(chunk)
                if size > self._source.size_bytes:
                    raise BackendFaultError("The stored archive is longer than the one that was uploaded.")
                digest.update(chunk)
                await asyncio.to_thread(file.write, chunk)
        if digest.hexdigest() != self._source.sha256:
            raise BackendFaultError("The stored archive is not the one that was uploaded.")

    def _extract(self, path: Path, folder: Path, cancelled: Callable[[], bool]) -> None:
        archive.extract(path, folder, self._limits, entrypoint=self.entrypoint, cancelled=cancelled)


def _refused(message: str) -> RunRefusedError:
    return RunRefusedError(Reason.INVALID_SOURCE, message)
