"""What the embedded stack finds on this machine, and what to do about what is missing. Changes nothing."""

import asyncio
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Literal

from msgspec import Struct

from vulcan_chassis.listen import parse_listen
from vulcan_chassis.settings import SettingsError, load
from vulcan_local import install, nats, postgres
from vulcan_local.datadir import DataDir
from vulcan_local.errors import LocalError
from vulcan_local.identity import DEDICATED_USER, unprivileged_user
from vulcan_local.ports import is_free
from vulcan_local.process import CommandError, run_command
from vulcan_local.programs import installed
from vulcan_local.settings import LocalSettings

Status = Literal["ok", "warning", "failed"]

_COMMAND_TIMEOUT_S: Final = 20.0


class Check(Struct, frozen=True, kw_only=True):
    """One thing that was looked at. `hint` says what to do where `status` is not ok."""

    name: str
    status: Status
    detail: str
    hint: str = ""


def check_machine(environ: Mapping[str, str] | None = None) -> list[Check]:
    """Look at everything that `vulcan up` needs here. Starts nothing that stays."""
    try:
        settings = load(LocalSettings, os.environ if environ is None else environ)
    except SettingsError as error:
        hint = "Correct the variable or leave it out."
        return [Check(name="settings", status="failed", detail=problem, hint=hint) for problem in error.problems]
    looks: list[Callable[[], Check]] = [
        lambda: _data_dir(settings.data_dir),
        lambda: _listen(settings),
        lambda: _nats(settings),
        lambda: _postgres(settings),
        _deno,
        _bubblewrap,
    ]
    return [look() for look in looks]


def _data_dir(root: Path) -> Check:
    if not root.exists():
        return Check(name="stack here", status="ok", detail=f"{root} will be made at the first start")
    found = root.stat()
    if found.st_uid != os.geteuid():
        return Check(
            name="stack here",
            status="failed",
            detail=f"{root} belongs to uid {found.st_uid}",
            hint="Choose another with VULCAN_DATA_DIR.",
        )
    holder = DataDir(root).holder()
    return Check(name="stack here", status="ok", detail=f"{root}, " + (f"used by {holder}" if holder else "not in use"))


def _listen(settings: LocalSettings) -> Check:
    host, port = parse_listen(settings.listen)
    if port == 0 or is_free(host, port):
        return Check(name="address here", status="ok", detail=f"{settings.listen} is free")
    if settings.data_dir.exists() and DataDir(settings.data_dir).holder() is not None:
        return Check(name="address here", status="ok", detail=f"{settings.listen} is served")
    return Check(
        name="address here",
        status="warning",
        detail=f"{settings.listen} is taken by another program",
        hint="Choose another with VULCAN_LISTEN, as in VULCAN_LISTEN=127.0.0.1:8090.",
    )


def _nats(settings: LocalSettings) -> Check:
    if settings.nats_url is not None:
        return Check(name="nats", status="ok", detail="not embedded: VULCAN_NATS_URL is set")
    return _program("nats", lambda: [str(nats.binary()), "--version"])


def _postgres(settings: LocalSettings) -> Check:
    if settings.database_url is not None:
        return Check(name="postgres", status="ok", detail="not embedded: VULCAN_DATABASE_URL is set")
    found = _program("postgres", lambda: [str(postgres.program("postgres")), "--version"])
    if found.status != "ok" or os.geteuid() != 0:
        return found
    try:
        uid, _ = unprivileged_user(DataDir(settings.data_dir).postgres / "data")
    except LocalError as error:
        return Check(name="postgres", status="failed", detail=str(error), hint=error.hint)
    detail = (
        f"{found.detail}, will run as uid {uid} since this is root (user {DEDICATED_USER} is taken if there is one)"
    )
    return Check(name="postgres", status="ok", detail=detail)


def _deno() -> Check:
    return _program("deno", lambda: [str(installed("deno", package="deno")), "--version"])


def _bubblewrap() -> Check:
    path = shutil.which("bwrap")
    if path is not None:
        return Check(name="bubblewrap", status="ok", detail=path)
    hint = "`vulcan up` installs it." if install.can_install() else "As root: apt-get install bubblewrap"
    return Check(name="bubblewrap", status="warning", detail="not installed: isolation of v8 is weaker", hint=hint)


def _program(name: str, command: Callable[[], list[str]]) -> Check:
    try:
        argv = command()
        output = asyncio.run(run_command(argv, env={"PATH": os.defpath}, timeout_s=_COMMAND_TIMEOUT_S))
    except (LocalError, CommandError) as error:
        hint = getattr(error, "hint", "") or "Set the environment up again: make clean setup"
        return Check(name=name, status="failed", detail=str(error), hint=hint)
    return Check(name=name, status="ok", detail=output.splitlines()[0])
