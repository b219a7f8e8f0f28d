"""`vulcan artifacts`."""

import hashlib
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from vulcan_cli.common import COMMON, Common, connect
from vulcan_cli.errors import CliError, UsageError
from vulcan_cli.main import STDIN_WORD
from vulcan_cli.output import note, print_json, table, write_line
from vulcan_cli.text import size
from vulcan_contracts.outcome import Artifact
from vulcan_contracts.paths import path_problem

if TYPE_CHECKING:
    from vulcan_sdk.client import Vulcan


def artifacts(
    workload: str,
    /,
    *names: str,
    download: Annotated[bool, Parameter(alias="-d")] = False,
    output: Annotated[str, Parameter(alias="-o", metavar="DIR|-", allow_leading_hyphen=True)] = ".",
    force: bool = False,
    common: Common = COMMON,
) -> None:
    """List the files that a workload left, or download them.

    Args:
        workload: Its id.
        names: Download only these; without any, all of them with --download.
        download: Download instead of listing.
        output: The folder to put them in (default: here), with their own folders; `-` writes a single one to stdout.
        force: Overwrite files that are there.
        common: Options of every command.
    """
    with connect(common) as vulcan:
        found = vulcan.artifacts(workload)
        if not download and not names:
            _list(found, common)
            return
        wanted = _wanted(found, names, workload)
        if output in ("-", STDIN_WORD):
            if len(wanted) != 1:
                raise UsageError(f"-o - writes one artifact, here are {len(wanted)}", hint="Name the one to write.")
            _to_stdout(vulcan, workload, wanted[0])
            return
        paths = [_save(vulcan, workload, artifact, Path(output), force=force) for artifact in wanted]
    if common.json:
        print_json({"items": [{"name": a.name, "path": str(path)} for a, path in zip(wanted, paths, strict=True)]})
    else:
        for path in paths:
            write_line(str(path))


def _list(found: list[Artifact], common: Common) -> None:
    if common.json:
        print_json({"items": found})
    elif not found:
        note("no artifacts")
    else:
        table(("NAME", "SIZE", "TYPE"), [(a.name, size(a.size_bytes), a.media_type) for a in found])


def _wanted(found: list[Artifact], names: tuple[str, ...], workload: str) -> list[Artifact]:
    by_name = {artifact.name: artifact for artifact in found}
    missing = [name for name in names if name not in by_name]
    if missing:
        there = ", ".join(by_name) or "none"
        raise CliError(f"{workload} left no artifact {missing[0]}", hint=f"There are: {there}.")
    if not found:
        raise CliError(
            f"{workload} left no artifacts", hint="Declare them at the start: vulcan run --artifact 'out/*'."
        )
    return [by_name[name] for name in names] or found


def _to_stdout(vulcan: "Vulcan", workload: str, artifact: Artifact) -> None:
    for chunk in vulcan.download(workload, artifact.name):
        sys.stdout.buffer.write(chunk)
    sys.stdout.buffer.flush()


def _save(vulcan: "Vulcan", workload: str, artifact: Artifact, folder: Path, *, force: bool) -> Path:
    """Download beside the target, check, then move it there: a file of that name is never a half one."""
    if (wrong := path_problem(artifact.name)) is not None:
        raise CliError(f"refusing the artifact name {artifact.name!r}: it {wrong}")
    target = folder / artifact.name
    try:
        if target.exists() and not force:
            raise CliError(
                f"{target} is there already", hint="Use --force to overwrite it, or --output another folder."
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{target.name[:100]}.", dir=target.parent)
        try:
            digest = hashlib.sha256()
            with os.fdopen(handle, "wb") as file:
                for chunk in vulcan.download(workload, artifact.name):
                    digest.update(chunk)
                    file.write(chunk)
            if digest.hexdigest() != artifact.sha256:
                raise CliError(
                    f"{artifact.name} arrived damaged: its SHA-256 is not {artifact.sha256}", hint="Try again."
                )
            Path(name).chmod(0o666 & ~_umask())
            Path(name).replace(target)
        finally:
            Path(name).unlink(missing_ok=True)
    except OSError as error:
        raise CliError(f"cannot write {target}: {error.strerror}") from error
    return target


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
