"""The shared libraries that a program needs, so that a jail holds those files and nothing else."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

_PATH: Final = re.compile(r"(/[^\s()]+)\s+\(0x")
_TIMEOUT_S: Final = 10.0


def libraries(programs: list[str]) -> list[str]:
    """The absolute paths that the dynamic linker would load; empty if nobody can tell."""
    ldd = shutil.which("ldd")
    if ldd is None:
        return []
    try:
        seen = subprocess.run([ldd, *programs], capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except (OSError, subprocess.SubprocessError):
        return []
    return sorted({path for path in _PATH.findall(seen.stdout) if Path(path).exists()})


def folders_of(paths: list[str]) -> list[str]:
    """Every folder above these paths, parents first, without the root."""
    found = {str(parent) for path in paths for parent in Path(path).parents if parent != Path("/")}
    return sorted(found, key=lambda folder: (folder.count("/"), folder))
