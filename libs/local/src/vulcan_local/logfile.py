"""A service's output on disk, bounded: one file and the one before it."""

from pathlib import Path
from typing import Final

TAIL_LINES: Final = 15


class LogFile:
    """Appends lines to a file; past `max_bytes` the file becomes `<name>.1` and a new one begins."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._file = path.open("ab", buffering=0)
        path.chmod(0o600)
        self._bytes = self._file.tell()
        self.tail: list[str] = []
        """The last lines of this run."""

    def write(self, line: str) -> None:
        """Append a line."""
        self.tail = [*self.tail[1 - TAIL_LINES :], line]
        raw = f"{line}\n".encode()
        if self._bytes + len(raw) > self._max_bytes and self._bytes:
            self._rotate()
        self._file.write(raw)
        self._bytes += len(raw)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _rotate(self) -> None:
        self._file.close()
        self._path.replace(self._path.with_name(f"{self._path.name}.1"))
        self._file = self._path.open("ab", buffering=0)
        self._path.chmod(0o600)
        self._bytes = 0
