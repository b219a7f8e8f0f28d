"""A project as an archive: a folder packed on the fly, the same folder always into the same bytes; or a file as it is.

The bytes must not change between two attempts of one submit, or the server would take the second for another
request. So entries are sorted and carry no times, owners or odd modes, and the gzip header no date.
"""

import fnmatch
import os
import stat
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from msgspec import Struct

from vulcan_contracts.paths import path_problem
from vulcan_sdk.errors import SourceError

CHUNK: Final = 64 * 1024
IGNORE_FILE: Final = ".vulcanignore"
DEFAULT_EXCLUDES: Final = (
    ".git", ".hg", ".svn", "node_modules", "__pycache__", "*.pyc", ".venv", "venv", ".mypy_cache", ".pytest_cache",
    ".ruff_cache", ".tox", ".DS_Store", "*.swp", ".idea", ".vscode", ".env",
)  # fmt: skip
_GZIP_WBITS: Final = 31  # a gzip header without a date
_MEDIA_TYPES: Final = {".zip": "application/zip", ".gz": "application/gzip", ".tgz": "application/gzip"}


class PackLimits(Struct, frozen=True, kw_only=True):
    """How much a packed folder may hold, before compression; it stops a home folder that was named by mistake."""

    max_files: int = 10_000
    max_bytes: int = 256 * 1024 * 1024


class Archive(Protocol):
    """Something to upload. `chunks` gives the same bytes each time."""

    @property
    def file_name(self) -> str:
        """A name whose ending says the format."""

    @property
    def media_type(self) -> str:
        """The media type of the bytes."""

    def chunks(self) -> Iterator[bytes]:
        """The bytes, from the start."""


class FileArchive:
    """A .tar.gz, .tgz or .zip file."""

    def __init__(self, path: Path) -> None:
        """Refuse what is no archive by its name, or cannot be opened."""
        if not is_archive(path):
            raise SourceError(f"{path} is not an archive by its name", hint="Name it .tar.gz, .tgz or .zip.")
        if not path.is_file():
            raise SourceError(f"there is no file {path}")
        self._path = path

    @property
    def file_name(self) -> str:
        """`archive` with the file's own ending; the name itself is nobody's business."""
        return "archive.zip" if self._path.suffix.lower() == ".zip" else "archive.tar.gz"

    @property
    def media_type(self) -> str:
        """By the ending."""
        return _MEDIA_TYPES[self._path.suffix.lower()]

    def chunks(self) -> Iterator[bytes]:
        """The file's bytes."""
        try:
            with self._path.open("rb") as file:
                while chunk := file.read(CHUNK):
                    yield chunk
        except OSError as error:
            raise SourceError(f"cannot read {self._path}: {error.strerror}") from error


class FolderArchive:
    """A folder as a .tar.gz. What it holds is listed once, at the start; `names` are its relative paths."""

    file_name: Final = "archive.tar.gz"
    media_type: Final = "application/gzip"

    def __init__(self, folder: Path, *, limits: PackLimits | None = None) -> None:
        """List the folder; refuse it where it is too large or cannot be read."""
        self._folder = folder
        self._limits = limits or PackLimits()
        self._entries = list(self._list())
        if not self._entries:
            raise SourceError(f"there is nothing to run in {folder}", hint="Every file is excluded, or it is empty.")

    @property
    def names(self) -> list[str]:
        """The relative paths of the files, sorted."""
        return [name for name, _ in self._entries]

    def chunks(self) -> Iterator[bytes]:
        """The packed folder, compressed while it is read."""
        squeeze = zlib.compressobj(6, zlib.DEFLATED, _GZIP_WBITS)
        for block in self._blocks():
            if packed := squeeze.compress(block):
                yield packed
        yield squeeze.flush()

    def _blocks(self) -> Iterator[bytes]:
        for name, path in self._entries:
            try:
                with path.open("rb") as file:
                    status = os.fstat(file.fileno())
                    entry = tarfile.TarInfo(name)
                    entry.size = status.st_size
                    entry.mode = 0o755 if status.st_mode & stat.S_IXUSR else 0o644
                    yield entry.tobuf(tarfile.PAX_FORMAT)
                    yield from _exactly(file, entry.size, path)
            except OSError as error:
                raise SourceError(f"cannot read {path}: {error.strerror}") from error
            yield bytes(-entry.size % tarfile.BLOCKSIZE)
        yield bytes(2 * tarfile.BLOCKSIZE)

    def _list(self) -> Iterator[tuple[str, Path]]:
        patterns = [*DEFAULT_EXCLUDES, *_ignore_file(self._folder)]
        total = 0
        for count, (name, path, size) in enumerate(_walk(self._folder, "", patterns), start=1):
            if (wrong := path_problem(name) or _encoding_problem(name)) is not None:
                raise SourceError(f"the file name {name!r} {wrong}", hint=f"Rename it, or list it in {IGNORE_FILE}.")
            total += size
            if count > self._limits.max_files or total > self._limits.max_bytes:
                raise SourceError(
                    f"{self._folder} is too large to submit: more than {self._limits.max_files} files "
                    f"or {self._limits.max_bytes // (1024 * 1024)} MiB",
                    hint=f"Name the project's own folder, or list what to leave out in {IGNORE_FILE}.",
                )
            yield name, path


def is_archive(path: Path) -> bool:
    """True if the name is one of an archive that Vulcan takes."""
    return path.name.lower().endswith((".tar.gz", ".tgz", ".zip"))


def _walk(folder: Path, prefix: str, patterns: list[str]) -> Iterator[tuple[str, Path, int]]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise SourceError(f"cannot read the folder {folder}: {error.strerror}") from error
    for entry in entries:
        name = prefix + entry.name
        if _excluded(name, entry.name, patterns):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(Path(entry.path), f"{name}/", patterns)
        elif entry.is_symlink():
            raise SourceError(
                f"{entry.path} is a link, which a workload's folder cannot hold",
                hint=f"Replace it by what it points to, or list it in {IGNORE_FILE}.",
            )
        elif entry.is_file(follow_symlinks=False):
            yield name, Path(entry.path), entry.stat(follow_symlinks=False).st_size


def _excluded(name: str, last: str, patterns: list[str]) -> bool:
    return any(
        fnmatch.fnmatchcase(name, pattern.strip("/")) if "/" in pattern.rstrip("/") else
        fnmatch.fnmatchcase(last, pattern.rstrip("/"))
        for pattern in patterns
    )  # fmt: skip


def _ignore_file(folder: Path) -> list[str]:
    """The patterns of the folder's own list: one a line, `#` starts a comment, a `/` ties it to the folder's root."""
    try:
        text = (folder / IGNORE_FILE).read_text("utf-8")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"cannot read {folder / IGNORE_FILE}: {error}") from error
    return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]


def _encoding_problem(name: str) -> str | None:
    try:
        name.encode()
    except UnicodeEncodeError:
        return "is not UTF-8"
    return None


def _exactly(file: BinaryIO, size: int, path: Path) -> Iterator[bytes]:
    left = size
    while left:
        chunk = file.read(min(CHUNK, left))
        if not chunk:
            raise SourceError(f"{path} became shorter while it was read", hint="Try again when nothing writes to it.")
        left -= len(chunk)
        yield chunk
