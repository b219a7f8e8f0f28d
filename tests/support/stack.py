"""The whole real stack, started the way a user starts it, in a data directory of its own on a free port."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import msgspec

Vulcan = Callable[..., "subprocess.CompletedProcess[str]"]
"""Calls the `vulcan` command, as the e2e fixture of that name does."""

_VULCAN = str(Path(sys.executable).with_name("vulcan"))
START_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 60.0
_COMMAND_TIMEOUT_S = 120.0
_POLL_S = 0.05


class Stack:
    """A running `vulcan up`. `stop` ends it as Ctrl-C does and fails if that does not go well."""

    def __init__(self, data: Path, environ: dict[str, str]) -> None:
        self.data = data
        self.url = ""
        self.key = ""
        self._environ = environ
        self._output = data.with_name(f"{data.name}-up.log")
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    def start(cls, data: Path, **settings: str) -> Self:
        """Start it in this data directory and wait until it serves; settings as in VULCAN_LOG_LEVEL="debug"."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("VULCAN_")}
        given = {"VULCAN_LISTEN": "127.0.0.1:0", "VULCAN_INSTALL": "0", "VULCAN_SAMPLE": "0"}
        stack = cls(data, {**kept, **given, **settings, "VULCAN_DATA_DIR": str(data)})
        stack.restart()
        return stack

    def restart(self) -> None:
        """Start it again after `stop` or `crash`, in the same data directory."""
        endpoint = self.data / "endpoint"
        endpoint.unlink(missing_ok=True)  # of a crashed one
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                [_VULCAN, "up"],
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._wait(lambda: endpoint.exists() and self._is_ready(endpoint.read_text().strip()), START_TIMEOUT_S)
        self.url = endpoint.read_text().strip()
        self.key = (self.data / "admin.key").read_text().strip()

    def stop(self) -> None:
        """Stop it as Ctrl-C does; harmless if it does not run."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGINT)
        try:
            code = process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"vulcan up does not stop:\n{self.output()}") from None
        assert code == 0, f"vulcan up ended with {code}:\n{self.output()}"

    def crash(self) -> None:
        """SIGKILL the supervisor itself; the kernel ends the services."""
        assert self._process is not None
        process, self._process = self._process, None
        process.kill()
        process.wait()

    @property
    def supervisor_pid(self) -> int:
        """The process id of `vulcan up` itself."""
        assert self._process is not None
        return self._process.pid

    def pid(self, service: str) -> int:
        """The process id of a service: gateway, scheduler, logstore, executor-v8, nats or postgres."""
        pid: int = self._report()["services"][service]
        return pid

    def pids(self) -> dict[str, int]:
        """Every service that runs now, with its process id."""
        return dict(self._report()["services"])

    def kill(self, service: str) -> None:
        """SIGKILL a service; the supervisor starts it again."""
        os.kill(self.pid(service), signal.SIGKILL)

    def vulcan(
        self, *args: str, stdin: str = "", cwd: Path | None = None, env: dict[str, str] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """Run the `vulcan` command, pointed at this stack."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("VULCAN_")}
        return subprocess.run(
            [_VULCAN, *args],
            env={**kept, "VULCAN_URL": self.url, "VULCAN_API_KEY": self.key, **(env or {})},
            input=stdin,
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=_COMMAND_TIMEOUT_S,
        )

    def output(self) -> str:
        """What it printed since its last start."""
        return self._output.read_text("utf-8", "replace")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _report(self) -> Any:
        return msgspec.json.decode((self.data / "services.json").read_bytes())

    def _is_ready(self, url: str) -> bool:
        try:
            return httpx.get(f"{url}/readyz", timeout=2.0, trust_env=False).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    def _wait(self, condition: Callable[[], bool], timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert self._process is not None
            code = self._process.poll()
            assert code is None, f"vulcan up ended with {code}:\n{self.output()}"
            if time.monotonic() > deadline:
                self.crash()
                raise AssertionError(f"vulcan up is not ready after {timeout_s:g} s:\n{self.output()}")
            time.sleep(_POLL_S)
