"""Reads a tar.gz as a stream, in little memory, whatever its headers claim."""

import gzip
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from vulcan_sandbox.archive_types import CHUNK_BYTES, ArchiveEntry, ArchiveLimits, ArchiveRefusedError

# A name or a PAX header is read whole into memory; nobody honest needs more for one entry.
_HEADER_BYTES: Final = 1_048_576
_PADDING_BYTES: Final = 2 * 10_240


def tar_entries(path: Path, limits: ArchiveLimits) -> Iterator[ArchiveEntry]:
    """Every file and folder, in the archive's order.

    Raises:
        ArchiveRefusedError: an entry is neither a file nor a folder, or the stream is longer than it may be.
        tarfile.TarError, EOFError, zlib.error: the archive is broken.
    """
    seen = 0
    with gzip.open(path) as unzipped:
        metered = _Metered(unzipped)
        metered.allow(_HEADER_BYTES)
        try:
            with tarfile.open(fileobj=metered, mode="r|", errorlevel=2) as archive:
                while (member := archive.next()) is not None:
                    seen += 1
                    if seen > limits.max_entries:
                        raise ArchiveRefusedError(f"The archive holds more than {limits.max_entries} entries.")
                    _check_kind(member)
                    yield _entry(archive, member, metered, limits)
                    metered.allow(_HEADER_BYTES)
        except gzip.BadGzipFile as error:
            raise ArchiveRefusedError(f"The archive is broken: {error}") from error


def _check_kind(member: tarfile.TarInfo) -> None:
    name = ascii(member.name[:120])
    if member.issym() or member.islnk():
        raise ArchiveRefusedError(f"{name} is a link; archives may hold plain files and folders only.")
    if member.issparse() or not (member.isreg() or member.isdir()):
        raise ArchiveRefusedError(f"{name} is neither a plain file nor a folder.")
    if member.size < 0:
        raise ArchiveRefusedError(f"{name} has a negative size.")


def _entry(
    archive: tarfile.TarFile, member: tarfile.TarInfo, metered: "_Metered", limits: ArchiveLimits
) -> ArchiveEntry:
    def chunks() -> Iterator[bytes]:
        metered.allow(min(member.size, limits.max_bytes) + _HEADER_BYTES)
        source = archive.extractfile(member)
        if source is None:
            raise tarfile.ReadError(f"no content for {member.name[:120]!a}")
        left = member.size
        while left:
            chunk = source.read(min(CHUNK_BYTES, left))
            if not chunk:
                raise tarfile.ReadError("unexpected end of data")
            left -= len(chunk)
            yield chunk

    return ArchiveEntry(
        name=member.name,
        is_folder=member.isdir(),
        executable=bool(member.mode & 0o111),
        declared_bytes=None,
        chunks=chunks,
    )


class _Metered(io.BufferedIOBase):
    """A stream that gives no more than was allowed since the last allowance."""

    def __init__(self, source: gzip.GzipFile) -> None:
        self._source = source
        self._left = 0

    def allow(self, size: int) -> None:
        self._left = size + _PADDING_BYTES

    def read(self, size: int | None = -1, /) -> bytes:
        data = self._source.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise ArchiveRefusedError("The archive has a header that is too long, or is larger than it may be.")
        return data
