"""`python -m support.noop_service`: an executor service as any other, whose backend runs nothing at all."""

import sys
from collections.abc import Callable
from typing import Final

from msgspec import Struct

from vulcan_chassis.service import Service, run
from vulcan_contracts.nodes import BackendReport, Capacity
from vulcan_contracts.outcome import Usage
from vulcan_contracts.spec import Backend as Isolation
from vulcan_eventstore.connection import Bus, NatsSettings
from vulcan_eventstore.log_writer import LogWriterSettings
from vulcan_eventstore.streams import StreamSettings, ensure_streams
from vulcan_sandbox.executor import start_executor
from vulcan_sandbox.protocol import Exit, OutputSink, ProducedArtifact, RunRequest
from vulcan_sandbox.settings import ExecutorSettings

_EXIT: Final = Exit(exit_code=0, usage=Usage(wall_ms=0.0, cpu_ms=0.0, max_memory_bytes=0))


class NoopSandbox:
    """Nothing: it starts and has ended."""

    image_digest: str | None = None

    async def start(self, sink: OutputSink) -> None:
        """There is nothing to start."""

    async def wait(self) -> Exit:
        """The code ends well at once."""
        return _EXIT

    async def kill(self, grace_s: float) -> None:
        """It has ended."""

    async def artifacts(self, patterns: list[str]) -> list[ProducedArtifact]:  # noqa: ARG002 - the protocol's
        """None."""
        return []

    async def close(self) -> None:
        """There is nothing to destroy."""


class NoopBackend:
    """Holds as many runs as anybody gives it, and looks at none of them."""

    isolation: Isolation = "v8"
    capacity = Capacity(cpus=4096, memory_mb=4_194_304, slots=1024)

    async def probe(self) -> BackendReport:
        """It works everywhere."""
        return BackendReport(isolation=self.isolation, available=True, engine="noop", runtimes=["javascript"])

    async def recover(self) -> None:
        """An earlier life left nothing."""

    async def prepare(self, run: RunRequest, say: Callable[[str], None]) -> NoopSandbox:  # noqa: ARG002 - the protocol's
        """Ready at once."""
        return NoopSandbox()

    async def close(self) -> None:
        """Nothing is open."""


class Settings(Struct, frozen=True, kw_only=True):
    """What every executor can be told."""

    nats: NatsSettings = NatsSettings()
    streams: StreamSettings = StreamSettings()
    node: str = "noop"
    executor: ExecutorSettings = ExecutorSettings()
    log_writer: LogWriterSettings = LogWriterSettings()


async def wire(service: Service, settings: Settings) -> None:
    """Connect, and begin to end workloads."""
    bus = await Bus.connect(settings.nats, name=service.name)
    service.on_stop(bus.close, name="bus")
    await ensure_streams(bus, settings.streams)
    await start_executor(
        service, bus, NoopBackend(), node=settings.node, settings=settings.executor, log_settings=settings.log_writer
    )


if __name__ == "__main__":
    sys.exit(run("executor-noop", Settings, wire))
