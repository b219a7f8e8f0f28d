"""The whole stack: what is started, in which order, with which environment."""

import asyncio
import time
from collections.abc import Mapping
from typing import Final

from vulcan_chassis.listen import parse_listen
from vulcan_local.console import Console
from vulcan_local.datadir import DataDir
from vulcan_local.errors import LocalError
from vulcan_local.files import write_private
from vulcan_local.install import install_missing
from vulcan_local.nats import EmbeddedNats
from vulcan_local.orphans import kill_orphans
from vulcan_local.policy import RestartPolicy
from vulcan_local.ports import Ports
from vulcan_local.postgres import EmbeddedPostgres
from vulcan_local.probes import HttpProbe
from vulcan_local.reporter import StackReporter
from vulcan_local.service import Service
from vulcan_local.services import STOP_ORDER, PlatformServices, machine_name
from vulcan_local.settings import LocalSettings
from vulcan_local.supervisor import Supervisor
from vulcan_sdk.async_client import AsyncVulcan
from vulcan_sdk.errors import VulcanError

_HEARTBEAT_TIMEOUT_S: Final = 5.0
_POLL_S: Final = 0.05
_ANY_HOST: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - read, not bound


class Stack:
    """NATS, PostgreSQL and the services on one data directory, which the caller has locked."""

    def __init__(self, settings: LocalSettings, data: DataDir, console: Console, environ: Mapping[str, str]) -> None:
        self._settings = settings
        self._data = data
        self._console = console
        self._environ = dict(environ)
        self._reporter = StackReporter(data, console, settings.log_file_bytes)
        self._supervisor = Supervisor(self._reporter, RestartPolicy())
        self._probe = HttpProbe()
        self._ports = Ports()
        self.listen, self.url = _address(settings.listen, self._ports)

    async def start(self) -> None:
        """Bring everything up, one layer after the other.

        Raises:
            LocalError: something does not start; `stop` what did.
        """
        self._data.endpoint.unlink(missing_ok=True)
        self._data.ensure_admin_key(self._settings.api_key)
        if self._settings.install:
            await install_missing(self._console.say, self._data.root / "install-failed")
        await self._supervisor.start(await self._ground())
        platform = PlatformServices(
            self._service_environ(),
            self._probe,
            self._ports,
            machine=machine_name(self._data.root, default_data=LocalSettings().data_dir),
            ready_timeout_s=self._settings.start_timeout_s,
            stop_timeout_s=self._settings.stop_timeout_s,
        )
        await self._supervisor.start([*platform.workers(), platform.gateway(self.url)])
        await self._see_executors(platform.executors)
        write_private(self._data.endpoint, f"{self.url}\n")

    async def watch(self) -> None:
        """Keep it running; returns only by an error of the supervisor itself."""
        await self._supervisor.watch()

    async def stop(self) -> None:
        """Stop everything in order and leave no process behind."""
        self._data.endpoint.unlink(missing_ok=True)
        await self._supervisor.stop(STOP_ORDER)
        await self._probe.close()
        left = await kill_orphans()
        if left:
            self._console.say(f"ended {left} processes that their services had left behind")
        self._data.remove_runtime_folder()
        self._reporter.close()

    def kill(self) -> None:
        """Do not wait for anything any more."""
        self._supervisor.kill()

    async def _see_executors(self, count: int) -> None:
        """Wait until the gateway has heard of the executors, which each tell of themselves about once a second."""
        deadline = time.monotonic() + _HEARTBEAT_TIMEOUT_S
        async with AsyncVulcan(self.url, self._data.admin_key.read_text("utf-8").strip()) as vulcan:
            while time.monotonic() < deadline:
                try:
                    if len(await vulcan.nodes()) >= count:
                        return
                except VulcanError as error:
                    raise LocalError(f"the gateway is ready but does not tell its nodes: {error}") from error
                await asyncio.sleep(_POLL_S)

    async def _ground(self) -> list[Service]:
        """The embedded servers, as far as they are wanted, ready to start. Tells the services where they will be."""
        settings = self._settings
        services: list[Service] = []
        if settings.nats_url is None:
            nats = EmbeddedNats(self._data, self._ports)
            port = nats.configure()
            self._environ["VULCAN_NATS_URL_FILE"] = str(nats.url_file)
            services.append(
                nats.service(port, ready_timeout_s=settings.start_timeout_s, stop_timeout_s=settings.stop_timeout_s)
            )
        if settings.database_url is None:
            postgres = EmbeddedPostgres(self._data)
            new = postgres.is_new
            begun = time.monotonic()
            if new:
                self._reporter.note("postgres", "making the database, once")
            await postgres.prepare()
            if new:
                self._reporter.note("postgres", f"made the database in {time.monotonic() - begun:.1f} s")
            self._environ["VULCAN_DATABASE_URL"] = postgres.url
            services.append(
                postgres.service(ready_timeout_s=settings.start_timeout_s, stop_timeout_s=settings.stop_timeout_s)
            )
        return services

    def _service_environ(self) -> dict[str, str]:
        given = {
            "VULCAN_DATA_DIR": str(self._data.root),
            "VULCAN_LISTEN": self.listen,
            "VULCAN_BOOTSTRAP_KEY_FILE": str(self._data.admin_key),
            "PYTHONUNBUFFERED": "1",
        }
        if self._console.colours and "VULCAN_LOG_FORMAT" not in self._environ:
            given["VULCAN_LOG_FORMAT"] = "text"
        return {**self._environ, **given}


def _address(listen: str, ports: Ports) -> tuple[str, str]:
    """Where to listen, with a port, and the URL for clients on this machine.

    Raises:
        LocalError: somebody listens there already.
    """
    host, port = parse_listen(listen)
    if port == 0:
        port = ports.take_any()
    elif not ports.take(host, port):
        raise LocalError(
            f"{listen} is taken by another program, or not an address of this machine",
            hint="Choose another with VULCAN_LISTEN, as in VULCAN_LISTEN=127.0.0.1:8090 make run; port 0 takes any.",
        )
    bracketed = f"[{host}]" if ":" in host else host
    reached = _ANY_HOST.get(host, host)
    return f"{bracketed}:{port}", f"http://[{reached}]:{port}" if ":" in reached else f"http://{reached}:{port}"
