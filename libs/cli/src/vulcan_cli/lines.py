"""Printing log lines where they belong: stdout to stdout, stderr to stderr, the platform's own dimmed to stderr."""

import sys
from typing import TextIO

import msgspec

from vulcan_cli.output import DIM, paint
from vulcan_cli.text import plain
from vulcan_contracts.logs import LogLine


class LinePrinter:
    """Each line is out when `show` returns, so that nothing is held back from a pipe."""

    def __init__(self, *, system: bool, timestamps: bool = False, as_json: bool = False) -> None:
        self._system = system
        self._timestamps = timestamps
        self._json = as_json
        self._open: TextIO | None = None
        """Where a line without an end was printed last."""

    def show(self, line: LogLine) -> None:
        """Print one line."""
        if self._json:
            self._write(sys.stdout, msgspec.json.encode(line).decode() + "\n")
        elif line.stream == "system":
            if self._system:
                self.end_line()
                self._write(
                    sys.stderr, paint(f"{self._prefix(line)}vulcan: {plain(line.text)}", DIM, sys.stderr) + "\n"
                )
        else:
            out = sys.stdout if line.stream == "stdout" else sys.stderr
            prefix = "" if self._open is out else self._prefix(line)
            self._write(out, prefix + line.text + ("" if line.partial else "\n"))
            self._open = out if line.partial else None

    def end_line(self) -> None:
        """Begin a new line on a terminal where the last has no end; never in a pipe: its bytes are the program's."""
        if self._open is not None and self._open.isatty():
            self._write(self._open, "\n")
        self._open = None

    def _prefix(self, line: LogLine) -> str:
        return f"{line.time:%Y-%m-%dT%H:%M:%S.}{line.time.microsecond // 1000:03d}Z " if self._timestamps else ""

    @staticmethod
    def _write(out: TextIO, text: str) -> None:
        out.write(text)
        out.flush()
