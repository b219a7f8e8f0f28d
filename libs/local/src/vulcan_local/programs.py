"""The servers' programs that were installed beside this Python."""

import sysconfig
from pathlib import Path

from vulcan_local.errors import LocalError


def installed(name: str, *, package: str, instead: str = "") -> Path:
    """The program of this name in the environment's folder for scripts.

    Raises:
        LocalError: it is not there.
    """
    path = Path(sysconfig.get_path("scripts")) / name
    if not path.is_file():
        raise LocalError(f"{name} is not installed", hint=f"Install the package {package}{instead}.")
    return path
