"""What the person at the terminal sees: progress, and the services' output under their names.

A terminal that stopped reading must not stop the platform: lines wait in a bounded queue for a thread of its own, and
what does not fit is counted, not waited for.
"""

import os
import queue
import shutil
import threading
from typing import Final, TextIO

from vulcan_local.errors import NO_ROOM

_COLOURS: Final = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)
_QUEUE_LINES: Final = 20_000
_CLOSE_TIMEOUT_S: Final = 2.0
_WIDTH: Final = 12
_PLAIN_COLUMNS: Final = 120


class Console:
    """Writes lines to a stream without ever making the caller wait."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.colours = stream.isatty() and not os.environ.get("NO_COLOR")
        self._lines: queue.Queue[str | None] = queue.Queue(_QUEUE_LINES)
        self._dropped = 0
        self._no_room = False
        self._prefixes: dict[str, str] = {}
        self._thread = threading.Thread(target=self._write, name="console", daemon=True)
        self._thread.start()

    @property
    def width(self) -> int:
        """How many columns a table may take."""
        return shutil.get_terminal_size((_PLAIN_COLUMNS, 24)).columns if self._stream.isatty() else _PLAIN_COLUMNS

    def say(self, text: str) -> None:
        """Show text of the stack itself."""
        self._put(text)

    def service(self, name: str, line: str) -> None:
        """Show a line that a service printed."""
        self._put(f"{self._prefix(name)}{line}")

    def close(self) -> None:
        """Write what is left, as far as the terminal takes it."""
        try:
            self._lines.put(None, timeout=_CLOSE_TIMEOUT_S)
        except queue.Full:
            return
        self._thread.join(_CLOSE_TIMEOUT_S)

    def _prefix(self, name: str) -> str:
        if name not in self._prefixes:
            colour = _COLOURS[len(self._prefixes) % len(_COLOURS)]
            plain = f"{name:<{_WIDTH}}| "
            self._prefixes[name] = f"\x1b[{colour}m{plain}\x1b[0m" if self.colours else plain
        return self._prefixes[name]

    def _put(self, line: str) -> None:
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self._dropped += 1

    def _write(self) -> None:
        while (line := self._lines.get()) is not None:
            dropped, self._dropped = self._dropped, 0
            if dropped:
                line = f"[{dropped} lines not shown: the terminal was too slow]\n{line}"
            if self._no_room:
                line = f"[lines may be missing here: there was no room for them]\n{line}"
            try:
                self._stream.write(f"{line}\n")
                if self._no_room or self._lines.empty():
                    self._stream.flush()
                self._no_room = False
            except (OSError, ValueError) as error:
                if not (isinstance(error, OSError) and error.errno in NO_ROOM):
                    return  # the reader is gone; the log files have it all
                self._no_room = True
        try:
            self._stream.flush()
        except (OSError, ValueError):
            return
