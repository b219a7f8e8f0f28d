"""Relative paths and glob patterns that came from outside."""

import re
from pathlib import PurePosixPath
from typing import Final

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f\\]")


def path_problem(path: str) -> str | None:
    """What is wrong with a relative path that a user named, in words; None if it is safe to join to a folder."""
    if not path:
        return "is empty"
    if _CONTROL.search(path):
        return "holds a control character or a backslash"
    if path.startswith("/"):
        return "is absolute; give a path relative to the workload's folder"
    parts = path.split("/")
    if ".." in parts:
        return "leaves the workload's folder with '..'"
    if "." in parts or "" in parts:
        return "has an empty or '.' part; write it plainly, as in src/main.ts"
    if len(parts) > 32 or any(len(part.encode()) > 255 for part in parts):
        return "is deeper than 32 folders or has a part longer than 255 bytes"
    return None


def suffix(path: str) -> str:
    """The file name's last ending with its dot, in lower case; empty if there is none."""
    return PurePosixPath(path).suffix.lower()
