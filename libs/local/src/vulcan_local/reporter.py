"""Tells of the services: on the console, in a log file each, and in `services.json` for other tools."""

import os
import time
from pathlib import Path

import msgspec

from vulcan_local.console import Console
from vulcan_local.datadir import DataDir
from vulcan_local.files import write_private
from vulcan_local.logfile import LogFile


class StackReport(msgspec.Struct):
    """What `services.json` holds while the stack runs."""

    supervisor: int
    services: dict[str, int]


class StackReporter:
    """The supervisor's reporter of a real stack."""

    def __init__(self, data: DataDir, console: Console, log_file_bytes: int) -> None:
        self._data = data
        self._console = console
        self._log_file_bytes = log_file_bytes
        self._files: dict[str, LogFile] = {}
        self._report = StackReport(supervisor=os.getpid(), services={})
        self._unwritten = False

    def output(self, service: str, line: str, *, show: bool) -> None:
        """A service printed a line, which a person wants to see or not."""
        self._file(service).write(line)
        if show:
            self._console.service(service, line)

    def note(self, service: str, text: str) -> None:
        """Something happened to a service."""
        self._file(service).write(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} vulcan up: {text}")
        self._console.service(service, text)

    def tail(self, service: str) -> str:
        """The last lines that a service printed."""
        return "\n".join(self._file(service).tail)

    def running(self, service: str, pid: int | None) -> None:
        """A service runs now under this process id, or (None) no longer."""
        if pid is None:
            self._report.services.pop(service, None)
        else:
            self._report.services[service] = pid
        self._write_report()

    def _write_report(self) -> None:
        try:
            write_private(self._data.services, msgspec.json.encode(self._report).decode())
        except OSError as error:
            # A full disk must not end what is supervised. The next start or end writes it anew.
            if not self._unwritten:
                self._console.say(f"cannot write {self._data.services}: {error}")
            self._unwritten = True
        else:
            self._unwritten = False

    def close(self) -> None:
        """Close the files; nothing runs any more."""
        for file in self._files.values():
            file.close()
        self._data.services.unlink(missing_ok=True)

    def _file(self, service: str) -> LogFile:
        if service not in self._files:
            self._files[service] = LogFile(Path(self._data.logs, f"{service}.log"), self._log_file_bytes)
        return self._files[service]
