"""Where log lines go: what is logged in one turn of the event loop is one write.

A write for each record costs a busy service, and whoever reads its output, more than making the record does.
"""

import asyncio
import atexit
import threading
from typing import TextIO


class LogStream:
    """A logger for structlog and a stream for the standard library's handlers, in one order.

    Debug and info records wait for the end of the loop's turn; what is more urgent, or logged outside of a loop, is
    written at once, after what waits.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._lock = threading.Lock()
        self._waiting: list[str] = []
        atexit.register(self.flush)

    def msg(self, line: str) -> None:
        """Write a line at once."""
        self.write(f"{line}\n")
        self.flush()

    log = warn = warning = error = exception = critical = fatal = msg

    def info(self, line: str) -> None:
        """Write a line soon."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.msg(line)
            return
        if self.write(f"{line}\n"):
            loop.call_soon(self.flush)

    debug = info

    def write(self, text: str) -> bool:
        """Let it wait for `flush`; true if nothing else does."""
        with self._lock:
            self._waiting.append(text)
            return len(self._waiting) == 1

    def flush(self) -> None:
        """Write what waits."""
        with self._lock:
            if self._waiting:
                text, self._waiting = "".join(self._waiting), []
                self._out.write(text)
                self._out.flush()
