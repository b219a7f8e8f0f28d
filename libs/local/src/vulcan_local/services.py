"""Vulcan's own services as the supervisor runs them."""

import hashlib
import os
import re
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from vulcan_local.ports import HOST, Ports
from vulcan_local.probes import HttpProbe
from vulcan_local.service import Service, StopStep

STOP_ORDER: Final = ("gateway", "executor-v8", "scheduler", "logstore", "postgres", "nats")
"""No new work; running work ends; the end is written down; then the ground under it all."""

_WORKERS: Final = {
    "logstore": "vulcan_logstore",
    "scheduler": "vulcan_scheduler",
    "executor-v8": "vulcan_executor_v8",
}
_EXECUTORS: Final = {"executor-v8": "v8"}
_GATEWAY: Final = "vulcan_gateway"
_UMASK: Final = 0o022  # executors make files for hosts that run as another user; their folders keep others out
_GRACE_S: Final = 5.0
_EXIT_SETTINGS: Final = 2  # of every service; see vulcan_chassis.service, which would load a whole server here
_CLIENT_ONLY: Final = ("VULCAN_API_KEY", "VULCAN_API_KEY_FILE", "VULCAN_URL")


def machine_name(data: Path, *, default_data: Path) -> str:
    """What the nodes here are called after: the host, and the stack if it is not the user's only one.

    An executor destroys what an earlier one of its name left behind; two stacks on a machine must not share names.
    """
    host = re.sub(r"[^A-Za-z0-9-]+", "-", socket.gethostname().split(".")[0]).strip("-").lower()[:40] or "local"
    if data == default_data:
        return host
    return f"{host}-{hashlib.sha256(os.fsencode(data)).hexdigest()[:6]}"


def _in_chroot() -> bool:
    """True if this is root in a chroot: its root folder is then, as a rule, no mount point."""
    if os.geteuid() != 0:
        return False
    mounts = Path("/proc/self/mountinfo").read_text("utf-8", "replace")
    return not any(line.split()[4] == "/" for line in mounts.splitlines())


class PlatformServices:
    """Builds the services; all share an environment, a way to be asked and a way to be stopped."""

    def __init__(
        self,
        environ: Mapping[str, str],
        probe: HttpProbe,
        ports: Ports,
        *,
        machine: str,
        ready_timeout_s: float,
        stop_timeout_s: float,
    ) -> None:
        self._machine = machine
        self._environ = {name: value for name, value in environ.items() if name not in _CLIENT_ONLY}
        self._probe = probe
        self._ports = ports
        self._ready_timeout_s = ready_timeout_s
        self._stop = [StopStep(signal=signal.SIGTERM, timeout_s=stop_timeout_s + _GRACE_S)]

    @property
    def executors(self) -> int:
        """How many of the services are executors."""
        return len(_EXECUTORS)

    def workers(self) -> list[Service]:
        """Everything behind the gateway, with a free port each for health and metrics."""
        found = []
        for name, module in _WORKERS.items():
            address = f"{HOST}:{self._ports.take_any()}"
            extra = {"VULCAN_OPS_LISTEN": address}
            if name in _EXECUTORS and not self._environ.get("VULCAN_NODE"):
                extra["VULCAN_NODE"] = f"{self._machine}-{_EXECUTORS[name]}"
            found.append(self._service(name, module, f"http://{address}", extra))
        return found

    def gateway(self, url: str) -> Service:
        """The gateway, which clients reach at `url`."""
        return self._service("gateway", _GATEWAY, url, {})

    def _service(self, name: str, module: str, url: str, extra: Mapping[str, str]) -> Service:
        return Service(
            name=name,
            argv=[sys.executable, "-P", "-m", module],
            env={**self._environ, **extra},
            probe=self._probe.of(url),
            ready_timeout_s=self._ready_timeout_s,
            stop=self._stop,
            umask=_UMASK,
            out_of_chroot=name in _EXECUTORS and _in_chroot(),
            hopeless_exit_codes={_EXIT_SETTINGS},
        )
