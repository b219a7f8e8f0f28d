"""Archives from strangers: what is in one, and unpacking it into an empty folder that nobody else can reach.

Only plain files and folders, by safe relative names, each once. Every limit counts what really comes out, so a bomb
costs no more than the limit, whatever its headers claim. Blocking; call it in a thread (`threads.run_cancellable`).
No NATS in here, so that a gateway can refuse an archive at its door with the same rules.
"""

import os
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Literal

from msgspec import Struct

from vulcan_contracts.paths import path_problem
from vulcan_sandbox.archive_tar import tar_entries
from vulcan_sandbox.archive_types import ArchiveEntry, ArchiveLimits, ArchiveRefusedError
from vulcan_sandbox.archive_zip import zip_entries

__all__ = ["ArchiveFormat", "ArchiveInfo", "ArchiveLimits", "ArchiveRefusedError", "detect", "extract", "inspect"]

ArchiveFormat = Literal["tar.gz", "zip"]

_GZIP_MAGIC: Final = b"\x1f\x8b"
_ZIP_MAGICS: Final = (b"PK\x03\x04", b"PK\x05\x06")
_MAX_PATH_BYTES: Final = 1024
_SHOWN_NAME_CHARS: Final = 120


class ArchiveInfo(Struct, frozen=True, kw_only=True):
    """What an archive holds: its files' relative paths, and what they take when unpacked."""

    format: ArchiveFormat
    files: list[str]
    unpacked_bytes: int


def detect(path: Path) -> ArchiveFormat:
    """The format, told by the content and not by any name.

    Raises:
        ArchiveRefusedError: it is neither.
    """
    with path.open("rb") as file:
        head = file.read(4)
    if head.startswith(_GZIP_MAGIC):
        return "tar.gz"
    if head in _ZIP_MAGICS:
        return "zip"
    raise ArchiveRefusedError("The upload is neither a tar.gz nor a zip.")


def inspect(
    path: Path, limits: ArchiveLimits, *, entrypoint: str | None = None, cancelled: Callable[[], bool] = lambda: False
) -> ArchiveInfo:
    """List an archive, checking everything that `extract` would refuse, and write nothing.

    A tar.gz is decompressed to its end, for there is no other way to know; a zip's sizes are taken from its directory,
    and `extract` holds it to them.

    Raises:
        ArchiveRefusedError: it is broken, unsafe, too large, or lacks the entrypoint; the message names the entry.
    """
    return _walk(path, limits, entrypoint, cancelled, folder=None)


def extract(
    path: Path,
    folder: Path,
    limits: ArchiveLimits,
    *,
    entrypoint: str | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> ArchiveInfo:
    """Unpack an archive below an existing, empty folder. What it refuses, it may have begun to write.

    Raises:
        ArchiveRefusedError: it is broken, unsafe, too large, or lacks the entrypoint; the message names the entry.
        OSError: the disk, not the archive, is to blame.
    """
    return _walk(path, limits, entrypoint, cancelled, folder=folder)


class CancelledByCallerError(Exception):
    """`cancelled` said so."""


def _walk(
    path: Path, limits: ArchiveLimits, entrypoint: str | None, cancelled: Callable[[], bool], folder: Path | None
) -> ArchiveInfo:
    found = detect(path)
    entries = tar_entries(path, limits) if found == "tar.gz" else zip_entries(path, limits, read=folder is not None)
    tree = _Tree(limits)
    total = 0
    try:
        for entry in entries:
            if cancelled():
                raise CancelledByCallerError
            name = _safe_name(entry)
            if name is None:
                continue
            new_folders = tree.add(name, is_folder=entry.is_folder)
            if folder is not None:
                _make_folders(folder, new_folders)
            if not entry.is_folder:
                total += _take(entry, name, folder, limits.max_bytes - total, cancelled)
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise ArchiveRefusedError(f"The archive is broken: {error}") from error
    if entrypoint is not None and entrypoint not in tree.files:
        raise ArchiveRefusedError(f"The archive holds no file {entrypoint!r}, the entrypoint.")
    return ArchiveInfo(format=found, files=sorted(tree.files), unpacked_bytes=total)


def _safe_name(entry: ArchiveEntry) -> str | None:
    """The entry's path below the workload's folder; None for the folder itself, which `tar` likes to list."""
    name = entry.name
    while name.startswith("./"):
        name = name[2:]
    if entry.is_folder:
        name = name.removesuffix("/")
        if name in ("", "."):
            return None
    try:
        too_long = len(name.encode()) > _MAX_PATH_BYTES
    except UnicodeEncodeError:
        raise ArchiveRefusedError(f"{shown(entry.name)} is not named in UTF-8.") from None
    if (wrong := path_problem(name)) is not None:
        raise ArchiveRefusedError(f"{shown(entry.name)} {wrong}.")
    if too_long:
        raise ArchiveRefusedError(f"{shown(entry.name)} is a path longer than {_MAX_PATH_BYTES} bytes.")
    return name


def shown(name: str) -> str:
    """An entry's name as it may stand in a message."""
    short = name if len(name) <= _SHOWN_NAME_CHARS else name[:_SHOWN_NAME_CHARS] + "…"
    return ascii(short)


class _Tree:
    """The names seen so far, so that none comes twice and none is file and folder at once."""

    def __init__(self, limits: ArchiveLimits) -> None:
        self._limits = limits
        self.files: set[str] = set()
        self._folders: set[str] = set()

    def add(self, name: str, *, is_folder: bool) -> list[str]:
        """The folders that this name adds to those before, the outermost first."""
        new_folders = self._new_parents(name)
        if is_folder:
            if name in self.files:
                raise ArchiveRefusedError(f"{shown(name)} is in the archive as a file and as a folder.")
            if name not in self._folders:
                new_folders.append(name)
        else:
            if name in self.files:
                raise ArchiveRefusedError(f"{shown(name)} is in the archive twice.")
            if name in self._folders:
                raise ArchiveRefusedError(f"{shown(name)} is in the archive as a file and as a folder.")
            self.files.add(name)
        self._folders.update(new_folders)
        if len(self.files) + len(self._folders) > self._limits.max_entries:
            raise ArchiveRefusedError(
                f"The archive holds more than {self._limits.max_entries} files and folders, at {shown(name)}."
            )
        return new_folders

    def _new_parents(self, name: str) -> list[str]:
        found: list[str] = []
        parent = name.rpartition("/")[0]
        while parent and parent not in self._folders:
            if parent in self.files:
                raise ArchiveRefusedError(f"{shown(parent)} is a file and a folder of {shown(name)} at once.")
            found.append(parent)
            parent = parent.rpartition("/")[0]
        return found[::-1]


def _make_folders(folder: Path, names: list[str]) -> None:
    for name in names:
        place = folder / name
        place.mkdir()
        place.chmod(0o755)  # the sandbox's user reads it, whatever the umask here


def _take(entry: ArchiveEntry, name: str, folder: Path | None, room: int, cancelled: Callable[[], bool]) -> int:
    """Write one file, or only count it where there is no folder to write to."""
    if folder is None:
        return sum(_bounded(entry, name, room, cancelled))
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(folder / name, flags, 0o600), "wb", buffering=0) as file:
        written = 0
        for size, chunk in _pieces(entry, name, room, cancelled):
            view = memoryview(chunk)
            while view:
                view = view[file.write(view) :]
            written += size
        os.fchmod(file.fileno(), 0o755 if entry.executable else 0o644)
    return written


def _bounded(entry: ArchiveEntry, name: str, room: int, cancelled: Callable[[], bool]) -> Iterator[int]:
    if entry.declared_bytes is not None:
        if entry.declared_bytes > room:
            raise _too_large(name)
        yield entry.declared_bytes
        return
    for size, _ in _pieces(entry, name, room, cancelled):
        yield size


def _pieces(entry: ArchiveEntry, name: str, room: int, cancelled: Callable[[], bool]) -> Iterator[tuple[int, bytes]]:
    left = room
    for chunk in entry.chunks():
        if cancelled():
            raise CancelledByCallerError
        left -= len(chunk)
        if left < 0:
            raise _too_large(name)
        yield len(chunk), chunk


def _too_large(name: str) -> ArchiveRefusedError:
    return ArchiveRefusedError(f"Unpacked, the archive is larger than the run's disk limit, at {shown(name)}.")
