"""Reads a zip by its central directory, bounded before the standard library loads it."""

import stat
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from vulcan_sandbox.archive_types import CHUNK_BYTES, ArchiveEntry, ArchiveLimits, ArchiveRefusedError

_END: Final = b"PK\x05\x06"
_END_BYTES: Final = 22
_ZIP64_LOCATOR: Final = b"PK\x06\x07"
_ZIP64_LOCATOR_BYTES: Final = 20
_MAX_COMMENT_BYTES: Final = 65_535
# A directory record is 46 bytes, a name and extra fields; more than this a record, on average, is no honest zip.
_DIRECTORY_BYTES_PER_ENTRY: Final = 512
_ENCRYPTED: Final = 0x1


def zip_entries(path: Path, limits: ArchiveLimits, *, read: bool) -> Iterator[ArchiveEntry]:
    """Every file and folder, in the archive's order. With `read` False, sizes are the directory's.

    Raises:
        ArchiveRefusedError: an entry is not a plain file or folder, is encrypted, or is packed in an unusual way.
        zipfile.BadZipFile, zlib.error, EOFError: the archive is broken.
    """
    _check_directory(path, limits)
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            _check_kind(info)
            yield _entry(archive, info, read=read)


def _check_directory(path: Path, limits: ArchiveLimits) -> None:
    """Refuse a directory that would fill the memory, before it is read whole."""
    size = path.stat().st_size
    tail_bytes = min(size, _END_BYTES + _MAX_COMMENT_BYTES + _ZIP64_LOCATOR_BYTES)
    with path.open("rb") as file:
        file.seek(size - tail_bytes)
        tail = file.read(tail_bytes)
    at = len(tail) - _END_BYTES
    if at < 0 or tail[at : at + 4] != _END or tail[-2:] != b"\x00\x00":
        at = tail.rfind(_END)
    if at < 0 or len(tail) - at < _END_BYTES:
        raise ArchiveRefusedError("The zip has no directory at its end; it is cut off or broken.")
    before = at - _ZIP64_LOCATOR_BYTES
    if before >= 0 and tail[before : before + 4] == _ZIP64_LOCATOR:
        raise ArchiveRefusedError("The zip is in the zip64 form, made for more files or bytes than are accepted.")
    (directory_bytes,) = struct.unpack_from("<L", tail, at + 12)
    if directory_bytes > limits.max_entries * _DIRECTORY_BYTES_PER_ENTRY:
        raise ArchiveRefusedError(f"The zip's directory is larger than {limits.max_entries} entries need.")


def _check_kind(info: zipfile.ZipInfo) -> None:
    name = ascii(info.filename[:120])
    if "\x00" in info.orig_filename:
        raise ArchiveRefusedError(f"{name} has a NUL byte in its name.")
    if info.flag_bits & _ENCRYPTED:
        raise ArchiveRefusedError(f"{name} is encrypted.")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ArchiveRefusedError(f"{name} is packed in an unusual way; use the ordinary deflate.")
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind == stat.S_IFLNK:
        raise ArchiveRefusedError(f"{name} is a link; archives may hold plain files and folders only.")
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise ArchiveRefusedError(f"{name} is neither a plain file nor a folder.")


def _entry(archive: zipfile.ZipFile, info: zipfile.ZipInfo, *, read: bool) -> ArchiveEntry:
    def chunks() -> Iterator[bytes]:
        with archive.open(info) as source:
            while chunk := source.read(CHUNK_BYTES):
                yield chunk

    return ArchiveEntry(
        name=info.filename,
        is_folder=info.is_dir(),
        executable=bool((info.external_attr >> 16) & 0o111),
        declared_bytes=None if read else info.file_size,
        chunks=chunks,
    )
