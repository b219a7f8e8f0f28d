"""From what a person names (code, a file, a folder, an archive) to work that can be submitted."""

import itertools
import tarfile
import zipfile
from pathlib import Path, PurePosixPath
from typing import Any, Final

from vulcan_contracts.paths import suffix
from vulcan_contracts.spec import ArchiveSource, FilesSource, InlineSource, Runtime, Spec
from vulcan_contracts.validation import RUNTIME_BY_SUFFIX
from vulcan_sdk.archive import Archive, FileArchive, FolderArchive, PackLimits, is_archive
from vulcan_sdk.errors import SourceError
from vulcan_sdk.work import Work

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


def from_code(code: str, *, runtime: Runtime | None = None, **fields: Any) -> Work:
    """Code as text; without a runtime its first line may name one (`#!`), else it is taken for TypeScript.

    Args:
        code: the code.
        runtime: the language.
        fields: any other fields of Spec.

    Raises:
        SourceError: there is no code.
    """
    if not code.strip():
        raise SourceError("there is no code to run", hint="Give a file, a folder, or code with -e.")
    return Work(spec=Spec(source=InlineSource(code=code), runtime=runtime or runtime_of_code(code), **fields))


def from_path(
    path: str | Path,
    *,
    entrypoint: str | None = None,
    runtime: Runtime | None = None,
    limits: PackLimits | None = None,
    **fields: Any,
) -> Work:
    """A file of code, a folder, or an archive.

    Args:
        path: where it is.
        entrypoint: the file to start in a folder or archive; without it main.*, index.* or the only one.
        runtime: the language; without it, told from the file's ending.
        limits: how large a folder may be.
        fields: any other fields of Spec.

    Raises:
        SourceError: it is not there, cannot be read, is too large, or does not say where it starts.
    """
    path = Path(path)
    if path.is_dir():
        folder = FolderArchive(path, limits=limits)
        start = _entrypoint(entrypoint, folder.names, path)
        return _archived(folder, start, runtime, fields)
    if not path.exists():
        raise SourceError(f"there is no file or folder {path}", hint="For code on the command line use -e.")
    if is_archive(path):
        start = _entrypoint(entrypoint, [] if entrypoint else _archive_names(path), path)
        return _archived(FileArchive(path), start, runtime, fields)
    text = _text(path)
    guessed = runtime or _by_suffix(path.name) or runtime_of_code(text, default=None)
    if guessed is None:
        raise SourceError(
            f"{path.name} does not say which language it is in",
            hint=f"Name it with one of {', '.join(RUNTIME_BY_SUFFIX)}, or give the runtime (--runtime).",
        )
    source = FilesSource(files={path.name: text}, entrypoint=path.name)
    return Work(spec=Spec(source=source, runtime=guessed, **fields))


def _archived(archive: Archive, start: str, runtime: Runtime | None, fields: dict[str, Any]) -> Work:
    source = ArchiveSource(entrypoint=start)
    return Work(spec=Spec(source=source, runtime=runtime or _by_suffix(start), **fields), archive=archive)


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
