"""Running a service: settings, logs, traces, event loop, signals, ordered stop, exit code.

A service's `main.py` is `sys.exit(run("scheduler", SchedulerSettings, wire))`, where `wire(service, settings)` builds
the adapters, starts tasks with `service.task(...)` and says with `service.on_stop(...)` how to close what it opened.

Exit codes: 0 after SIGTERM or SIGINT, 1 after a crash, 2 for wrong settings, 128 + n after a second signal.
"""

import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any, Final, TypeVar

import uvloop
from msgspec import Meta, Struct
from prometheus_client import CollectorRegistry

from vulcan_chassis import logs, tracing
from vulcan_chassis.errors import StartError
from vulcan_chassis.health import Health
from vulcan_chassis.lifecycle import Lifecycle
from vulcan_chassis.listen import Listen
from vulcan_chassis.metrics import new_registry
from vulcan_chassis.ops import OpsApp
from vulcan_chassis.server import HttpServer
from vulcan_chassis.settings import SettingsError, load

EXIT_CRASHED: Final = 1
EXIT_SETTINGS: Final = 2

_GC_THRESHOLDS: Final = (10_000, 20, 20)

S = TypeVar("S", bound=Struct)


class ServiceSettings(Struct, frozen=True, kw_only=True):
    """What every service can be told, whatever it does."""

    log_level: logs.LogLevel = "info"
    log_format: logs.LogFormat = "auto"
    ops_listen: Listen = "127.0.0.1:0"
    stop_step_timeout_s: Annotated[float, Meta(gt=0)] = 5.0
    stop_timeout_s: Annotated[float, Meta(gt=0)] = 20.0


class Service(Lifecycle):
    """A service that runs: its tasks, its health, its metrics."""

    def __init__(self, name: str, settings: ServiceSettings) -> None:
        super().__init__(step_timeout_s=settings.stop_step_timeout_s)
        self.name = name
        self.version = _version(name)
        self.settings = settings
        self.health = Health()
        self.registry: CollectorRegistry = new_registry(name, self.version)

    async def serve(self, app: Any, listen: str, *, name: str = "http") -> HttpServer:
        """Serve an ASGI application until the service stops; the port is bound when this returns.

        Raises:
            HttpServerError: the port is not to be had, or the application did not start.
        """
        server = HttpServer(app, listen, stop_timeout_s=self.settings.stop_step_timeout_s / 2)
        server.bind()
        self.task(server.run(), name=name)
        self.on_stop(server.stop, name=f"{name} server")
        await server.listening()
        return server

    async def serve_ops(self) -> HttpServer:
        """Serve /healthz, /readyz and /metrics on VULCAN_OPS_LISTEN."""
        server = await self.serve(OpsApp(self.health, self.registry), self.settings.ops_listen, name="ops")
        logs.get().info("ops listening", address=server.address)
        return server


Wire = Callable[[Service, S], Awaitable[None]]


def run(
    name: str, settings: type[S], wire: Wire[S], *, ops_server: bool = True, environ: Mapping[str, str] | None = None
) -> int:
    """Run a service until a signal or a crash, and return the process's exit code.

    Args:
        name: `gateway`, `scheduler`, ...; stands in logs, metrics and traces.
        settings: the struct that the environment is read into.
        wire: builds everything; the service is ready once it has returned and the health checks pass.
        ops_server: False where the service serves health and metrics on its own listener.
        environ: in place of the process's environment.
    """
    problems: list[str] = []
    common = _load(ServiceSettings, environ, problems)
    own = _load(settings, environ, problems)
    if common is None or own is None:
        sys.stderr.writelines(f"vulcan-{name}: {problem}\n" for problem in problems)
        return EXIT_SETTINGS
    logs.configure(name, level=common.log_level, log_format=common.log_format)
    stop_tracing = tracing.configure(name, _version(name), environ)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_main(name, common, own, wire, ops_server))
    finally:
        stop_tracing()


def _load(kind: type[S], environ: Mapping[str, str] | None, problems: list[str]) -> S | None:
    try:
        return load(kind, environ)
    except SettingsError as error:
        problems.extend(error.problems)
        return None


async def _main(name: str, common: ServiceSettings, own: S, wire: Wire[S], ops_server: bool) -> int:
    service = Service(name, common)
    log = logs.get()
    _stop_on_signals(service)
    log.info("starting", version=service.version, pid=os.getpid())
    wiring = asyncio.create_task(_wire(service, own, wire, ops_server), name="wiring")
    stopping = asyncio.create_task(service.wait_stopping(), name="stopping")
    await asyncio.wait([wiring, stopping], return_when=asyncio.FIRST_COMPLETED)
    if not wiring.done():
        wiring.cancel()
        await asyncio.wait([wiring], timeout=common.stop_step_timeout_s)
    elif (error := wiring.exception()) is not None:
        log.error("could not start", reason=str(error), exc_info=None if isinstance(error, StartError) else error)
        service.crash()
    else:
        log.info("started")
    await stopping
    log.info("stopping")
    clean = await _close(service, common.stop_timeout_s)
    code = EXIT_CRASHED if service.crashed or not wiring.done() else 0
    log.info("stopped", exit_code=code, clean=clean)
    if not clean:
        _leave(code or EXIT_CRASHED)
    return code


async def _wire(service: Service, own: S, wire: Wire[S], ops_server: bool) -> None:
    service.health.add("started", lambda: "still starting")
    if ops_server:
        await service.serve_ops()
    await wire(service, own)
    _spare_collector()
    service.health.remove("started")


def _spare_collector() -> None:
    """What a service is made of stays until its end: the garbage collector need not look at it again and again.

    With Python's own thresholds it takes a tenth of the time of a service that is busy with small requests.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)


async def _close(service: Service, timeout_s: float) -> bool:
    try:
        async with asyncio.timeout(timeout_s):
            return await service.close()
    except TimeoutError:
        logs.get().error("the stop took too long", timeout_s=timeout_s)
        return False


def _stop_on_signals(service: Service) -> None:
    loop = asyncio.get_running_loop()

    def received(number: signal.Signals) -> None:
        if service.stopping:
            logs.get().warning("second signal, leaving at once", signal=number.name)
            _leave(128 + number)
        logs.get().info("signal received", signal=number.name)
        service.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, received, number)


def _leave(code: int) -> None:
    """End the process without waiting for tasks that do not end."""
    logging.shutdown()  # the last lines
    sys.stderr.flush()
    os._exit(code)


def _version(name: str) -> str:
    try:
        return version(f"vulcan-{name}")
    except PackageNotFoundError:
        return version("vulcan-chassis")
