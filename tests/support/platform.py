"""The services as processes of their own on a real NATS and Postgres, with a fake backend; each can be killed."""

import os
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import httpx

from support.nats import NatsServer, free_port
from vulcan_contracts.tenants import new_token

_TESTS: Final = Path(__file__).parents[1]
_START_TIMEOUT_S: Final = 60.0


class Platform:
    """`url` and `key` are how to reach it."""

    def __init__(self, folder: Path, database_url: str) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        self.key = new_token()
        self.key_file = folder / "admin.key"
        self.key_file.write_text(self.key)
        self.key_file.chmod(0o600)
        self._folder = folder
        self._nats = NatsServer(folder / "nats")
        self._database_url = database_url
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        self._nats.start()
        for service in ("vulcan_logstore", "vulcan_scheduler", "support.fake_service", "vulcan_gateway"):
            self.start(service)
        self.wait_until_ready()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._nats.stop()

    def start(self, service: str) -> None:
        """Start a service."""
        environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith("VULCAN_")},
            "PYTHONPATH": str(_TESTS),
            "VULCAN_NATS_URL": self._nats.url,
            "VULCAN_DATABASE_URL": self._database_url,
            "VULCAN_LISTEN": self.url.removeprefix("http://"),
            "VULCAN_OPS_LISTEN": "127.0.0.1:0",
            "VULCAN_BOOTSTRAP_KEY_FILE": str(self.key_file),
            "VULCAN_NODE": "fake-1",
        }
        with (self._folder / f"{service}.log").open("ab") as log:
            self._processes[service] = subprocess.Popen(
                [sys.executable, "-m", service], env=environ, stdout=log, stderr=log
            )

    def kill(self, service: str) -> None:
        """End a service as a crash would."""
        process = self._processes.pop(service)
        process.kill()
        process.wait()

    def log(self) -> str:
        """What all of them said."""
        return "\n".join(f"== {path.name}\n{path.read_text()}" for path in sorted(self._folder.glob("*.log")))

    def wait_until_ready(self) -> None:
        """Return once a backend is there to run on."""
        give_up = time.monotonic() + _START_TIMEOUT_S
        with httpx.Client(headers={"Authorization": f"Bearer {self.key}"}, timeout=5.0, trust_env=False) as client:
            while True:
                try:
                    if any(item["available"] for item in client.get(f"{self.url}/v1/backends").json()["items"]):
                        return
                except (httpx.TransportError, KeyError, ValueError):
                    pass
                if time.monotonic() > give_up:
                    message = f"the services did not become ready:\n{self.log()}"
                    raise RuntimeError(message)
                time.sleep(0.05)
