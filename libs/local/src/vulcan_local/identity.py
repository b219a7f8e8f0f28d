"""Whom PostgreSQL runs as. It refuses to be root; started by root it becomes a user without rights, who may reach
neither root's folders nor the data directory. A mount namespace of its own shows it exactly what it needs.
"""

import os
import pwd
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from vulcan_local import launch
from vulcan_local.errors import LocalError
from vulcan_local.process import CommandError, run_command
from vulcan_local.service import Identity

DEDICATED_USER: Final = "vulcan-postgres"
FALLBACK_USER: Final = "nobody"
_PROBE_TIMEOUT_S: Final = 15.0


class Places:
    """Where PostgreSQL finds its folders: where they are, or below the root of its mount namespace."""

    def __init__(self, folders: Mapping[str, Path], *, shown: bool) -> None:
        self._folders = folders
        self._shown = shown

    def __getitem__(self, name: str) -> Path:
        return Path(launch.ROOT, name) if self._shown else self._folders[name]


def unprivileged_user(data: Path) -> tuple[int, int]:
    """The user that owns the database already, else the dedicated one if the machine has it, else nobody."""
    if data.exists() and data.stat().st_uid != 0:
        found = data.stat()
        return found.st_uid, found.st_gid
    for name in (DEDICATED_USER, FALLBACK_USER):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return entry.pw_uid, entry.pw_gid
    raise LocalError(
        "PostgreSQL cannot run as root, and this machine has no user without rights for it",
        hint=f"Create one: useradd --system {DEDICATED_USER}",
    )


async def choose(
    folders: Mapping[str, Path], *, owner: tuple[int, int], program: tuple[str, str], above: Collection[Path]
) -> tuple[Identity | None, Places]:
    """How to run PostgreSQL and where it then finds `folders`; tried out on `program` (folder name, path in it).

    Without mount namespaces it has to come by the folders' own path. Of these, only our own (`above`) are opened, and
    only for passing through, and for its group alone.

    Raises:
        LocalError: started by root, and neither way works here.
    """
    if os.geteuid() != 0:
        return None, Places(folders, shown=False)
    plain = Identity(uid=owner[0], gid=owner[1])
    hidden = replace(plain, binds=[(str(path), name) for name, path in folders.items()])
    problems: list[str] = []
    for identity, shown in ((hidden, True), (plain, False)):
        places = Places(folders, shown=shown)
        try:
            await run_command(
                [str(places[program[0]] / program[1]), "--version"],
                env={"PATH": os.defpath},
                timeout_s=_PROBE_TIMEOUT_S,
                identity=identity,
            )
            if not shown:
                for folder in above:
                    os.chown(folder, -1, plain.gid)
                    os.chmod(folder, 0o710)  # noqa: PTH101, S103 - no more than needed; does not block
                await _check_reach(folders, plain)
        except CommandError as error:
            problems.append(error.output.strip() or f"uid {owner[0]} may not use {error.argv[-1]}")
            if shown and error.code != launch.NAMESPACE_REFUSED:
                break
            continue
        return identity, places
    raise LocalError(
        f"PostgreSQL cannot run as root, and as uid {owner[0]} it does not work here: {'; '.join(problems)}",
        hint="Start Vulcan as an ordinary user, or give a PostgreSQL with VULCAN_DATABASE_URL, or keep Vulcan and"
        " VULCAN_DATA_DIR in folders that every user may enter, such as /opt/vulcan and /var/lib/vulcan, readable to"
        " all (umask 022).",
    )


async def _check_reach(folders: Mapping[str, Path], identity: Identity) -> None:
    for path in folders.values():
        await run_command(
            ["/usr/bin/env", "test", "-x", str(path)],
            env={"PATH": os.defpath},
            timeout_s=_PROBE_TIMEOUT_S,
            identity=identity,
        )
