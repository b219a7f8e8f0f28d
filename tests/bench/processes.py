"""Server processes of a benchmark: started on a core of their own, and asked for the CPU time they took."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from support.nats import free_port

_START_TIMEOUT_S: Final = 30.0
_STOP_TIMEOUT_S: Final = 20.0
_NANOSECONDS: Final = 1_000_000_000


class Server:
    """A process that listens on a port of 127.0.0.1."""

    def __init__(self, process: "subprocess.Popen[bytes]", port: int) -> None:
        self.process = process
        self.port = port

    def cpu_s(self) -> float:
        """CPU seconds of all its threads so far."""
        return cpu_s(self.process.pid)


def cpu_s(pid: int) -> float:
    """CPU seconds of all threads of a process so far, to the nanosecond."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / _NANOSECONDS


def first_core() -> set[int]:
    """For the server that is measured. What drives it, and NATS, have the others: nobody takes time from anybody."""
    return set(sorted(os.sched_getaffinity(0))[:1])


def other_cores() -> set[int]:
    """All but the first; that one too where there is no other."""
    return os.sched_getaffinity(0) - first_core() or first_core()


@contextmanager
def server(module: str, log: Path, environment: Mapping[str, str]) -> Iterator[Server]:
    """`python -m module` on the first core; it is told its port as `{port}` in a value of the environment."""
    port = free_port()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("VULCAN_")}
    given = {name: value.format(port=port) for name, value in environment.items()}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", module], env={**kept, **given}, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        os.sched_setaffinity(process.pid, first_core())
        _await_port(process, port, log)
        yield Server(process, port)
    finally:
        process.terminate()
        try:
            process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await_port(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    give_up = time.monotonic() + _START_TIMEOUT_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > give_up:
                raise RuntimeError(f"{process.args!r} does not listen:\n{log.read_text()}") from None
            time.sleep(0.02)
        else:
            return
