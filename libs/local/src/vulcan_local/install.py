"""System packages that make Vulcan better, installed where that is simple: as root on Debian and its kin."""

import asyncio
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

PACKAGES: Final[Mapping[str, str]] = {"bwrap": "bubblewrap"}
"""Program and the package that brings it."""

_TIMEOUT_S: Final = 180.0
_STOP_TIMEOUT_S: Final = 10.0
_RETRY_AFTER_S: Final = 24 * 3600.0
_APT: Final = (
    *("-qq", "-o", "Acquire::Retries=1", "-o", "Acquire::http::Timeout=20", "-o", "Acquire::https::Timeout=20"),
    *("-o", "DPkg::Lock::Timeout=60", "-o", "Dpkg::Use-Pty=0"),
)


def missing() -> list[str]:
    """The packages whose program is not there."""
    return [package for program, package in PACKAGES.items() if shutil.which(program) is None]


def can_install() -> bool:
    """True if this process can install Debian packages."""
    return os.geteuid() == 0 and Path("/etc/debian_version").exists() and shutil.which("apt-get") is not None


async def install_missing(say: Callable[[str], None], marker: Path) -> None:
    """Install what is missing. A failure is told, not raised; it leaves `marker` and is not tried again for a day."""
    packages = missing()
    if not packages or not can_install():
        return
    names = " ".join(packages)
    if _failed_lately(marker):
        say(f"without {names}: installing it failed lately (remove {marker} to try again now)")
        return
    say(f"installing {names} with apt-get, for stronger isolation (VULCAN_INSTALL=0 turns this off)")
    begun = time.monotonic()
    install = ["install", "-y", "--no-install-recommends", *packages]
    problem = ""
    for arguments in (install, ["update"], install):
        problem = await _apt_get(arguments)
        if not missing():
            say(f"installed {names} in {time.monotonic() - begun:.1f} s")
            return
    say(f"could not install {names} ({problem}); going on without it")
    marker.touch(mode=0o600)  # noqa: ASYNC240 - an empty file


def _failed_lately(marker: Path) -> bool:
    try:
        return time.time() - marker.stat().st_mtime < _RETRY_AFTER_S
    except FileNotFoundError:
        return False


async def _apt_get(arguments: list[str]) -> str:
    """Run it; gives what went wrong, in its own words."""
    # Not by `launch`: a package must not be cut off half installed, nor get our umask.
    child = await asyncio.create_subprocess_exec(
        *("apt-get", *_APT, *arguments),
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        output, _ = await asyncio.wait_for(child.communicate(), _TIMEOUT_S)
    except TimeoutError:
        return f"apt-get took longer than {_TIMEOUT_S:g} s"
    finally:
        if child.returncode is None:
            child.terminate()
            await asyncio.wait_for(child.wait(), _STOP_TIMEOUT_S)
    lines = output.decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else f"apt-get ended with exit code {child.returncode}"


def main() -> None:
    """Install what is missing, from the shell: `python -m vulcan_local.install`."""

    def say(text: str) -> None:
        sys.stdout.write(f"{text}\n")

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(install_missing(say, Path(folder) / "failed"))


if __name__ == "__main__":
    main()
