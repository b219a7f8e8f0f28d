"""From what a person names (code, a file, a folder, an archive) to a source that can be submitted."""

import itertools
import tarfile
import zipfile
from pathlib import Path, PurePosixPath
from typing import Any, Final

from msgspec import Struct

from vulcan_contracts.paths import suffix
from vulcan_contracts.spec import ArchiveSource, FilesSource, InlineSource, Runtime, Source, Spec
from vulcan_contracts.validation import RUNTIME_BY_SUFFIX
from vulcan_sdk.archive import Archive, FileArchive, FolderArchive, PackLimits, is_archive
from vulcan_sdk.errors import SourceError

MAX_TEXT_BYTES: Final = 512 * 1024
"""A single file up to this size travels inside the spec."""

_STEMS: Final = ("main", "index", "mod", "app", "src/main", "src/index")
_ARCHIVE_LISTING_LIMIT: Final = 10_000
_INTERPRETERS: Final[dict[str, Runtime]] = {
    "python": "python",
    "python3": "python",
    "node": "node",
    "deno": "typescript",
    "bun": "typescript",
    "sh": "shell",
    "bash": "shell",
}


class Prepared(Struct, frozen=True, kw_only=True):
    """A source with the runtime that it seems to be for, and the archive to upload beside the spec."""

    source: Source
    runtime: Runtime | None = None
    archive: Archive | None = None

    def spec(self, **options: Any) -> Spec:
        """The spec of a run of this source, with any other fields of Spec."""
        return Spec(source=self.source, **{"runtime": self.runtime} | options)


def from_code(code: str, runtime: Runtime | None = None) -> Prepared:
    """Code as text; without a runtime its first line may name one (`#!`), else it is taken for TypeScript.

    Raises:
        SourceError: there is no code.
    """
    if not code.strip():
        raise SourceError("there is no code to run", hint="Give a file, a folder, or code with -e.")
    return Prepared(source=InlineSource(code=code), runtime=runtime or runtime_of_code(code))


def from_path(
    path: Path, *, entrypoint: str | None = None, runtime: Runtime | None = None, limits: PackLimits | None = None
) -> Prepared:
    """A file of code, a folder, or an archive.

    Raises:
        SourceError: it is not there, cannot be read, is too large, or does not say where it starts.
    """
    if path.is_dir():
        folder = FolderArchive(path, limits=limits)
        start = _entrypoint(entrypoint, folder.names, path)
        return Prepared(source=ArchiveSource(entrypoint=start), runtime=runtime or _by_suffix(start), archive=folder)
    if not path.exists():
        raise SourceError(f"there is no file or folder {path}", hint="For code on the command line use -e.")
    if is_archive(path):
        start = _entrypoint(entrypoint, [] if entrypoint else _archive_names(path), path)
        packed = FileArchive(path)
        return Prepared(source=ArchiveSource(entrypoint=start), runtime=runtime or _by_suffix(start), archive=packed)
    text = _text(path)
    guessed = runtime or _by_suffix(path.name) or runtime_of_code(text, default=None)
    if guessed is None:
        raise SourceError(
            f"{path.name} does not say which language it is in",
            hint=f"Name it with one of {', '.join(RUNTIME_BY_SUFFIX)}, or give the runtime (--runtime).",
        )
    return Prepared(source=FilesSource(files={path.name: text}, entrypoint=path.name), runtime=guessed)


def runtime_of_code(code: str, default: Runtime | None = "typescript") -> Runtime | None:
    """The runtime that the `#!` line names; TypeScript, which JavaScript mostly is too, where there is none."""
    first, _, _ = code.partition("\n")
    if not first.startswith("#!"):
        return default
    words = [PurePosixPath(word).name for word in first.removeprefix("#!").split()]
    return next((_INTERPRETERS[word] for word in words if word in _INTERPRETERS), default)


def _by_suffix(name: str) -> Runtime | None:
    return RUNTIME_BY_SUFFIX.get(suffix(name))


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_TEXT_BYTES:
            raise SourceError(
                f"{path} is larger than {MAX_TEXT_BYTES // 1024} KiB", hint="Put it in a folder and submit that."
            )
        text = path.read_text("utf-8")
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SourceError(
            f"{path} is not UTF-8 text, so it is no code", hint="Archives end in .tar.gz or .zip."
        ) from error
    if not text.strip():
        raise SourceError(f"{path} is empty")
    return text


def _entrypoint(given: str | None, names: list[str], where: Path) -> str:
    if given is not None:
        if names and given not in names:
            raise SourceError(f"{given} is not in {where}", hint=f"It holds {_some(names)}.")
        return given
    for stem in _STEMS:
        for ending in RUNTIME_BY_SUFFIX:
            if stem + ending in names:
                return stem + ending
    code = [name for name in names if _by_suffix(name) is not None and "/" not in name]
    if len(code) == 1:
        return code[0]
    raise SourceError(
        f"{where} does not say where it starts: it holds {_some(names)}",
        hint="Name the file to start with --entrypoint, or call it main.ts, main.js, main.py ...",
    )


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:8])
    return shown + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _archive_names(path: Path) -> list[str]:
    """The file names in an archive; its content is checked by the server, here only the start is looked for."""
    try:
        if path.suffix.lower() == ".zip":
            with zipfile.ZipFile(path) as zipped:
                return sorted(zipped.namelist()[:_ARCHIVE_LISTING_LIMIT])
        with tarfile.open(path, "r:gz") as tar:
            return sorted(entry.name.removeprefix("./") for entry in itertools.islice(tar, _ARCHIVE_LISTING_LIMIT))
    except (OSError, EOFError, tarfile.TarError, zipfile.BadZipFile) as error:
        raise SourceError(f"cannot read the archive {path}: {error}") from error
