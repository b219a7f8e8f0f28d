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
        self.lost_lines = 0
        """How many could not be written since the last one that could."""
        self._torn = False  # the file ends with a part of a line

    def write(self, line: str) -> None:
        """Append a line."""
        self.tail = [*self.tail[1 - TAIL_LINES :], line]
        raw = f"{line}\n".encode()
        if self.lost_lines:
            begin = "\n" if self._torn else ""
            raw = f"{begin}({self.lost_lines} lines could not be written)\n".encode() + raw
        try:
            if self._bytes + len(raw) > self._max_bytes and self._bytes:
                self._rotate()
            written = self._file.write(raw)
        except OSError:
            # A full disk must not end what is supervised; that lines are missing is said once there is room.
            written = 0
        self._bytes += written
        if written == len(raw):
            self.lost_lines, self._torn = 0, False
        else:
            self.lost_lines, self._torn = self.lost_lines + 1, self._torn or written > 0

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _rotate(self) -> None:
        if self._path.exists():  # else an earlier attempt came this far
            self._path.replace(self._path.with_name(f"{self._path.name}.1"))
        new = self._path.open("ab", buffering=0)
        self._file.close()
        self._file = new
        self._path.chmod(0o600)
        self._bytes = 0
        self._torn = False
