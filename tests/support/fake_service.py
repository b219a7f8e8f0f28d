"""`python -m support.fake_service`: an executor service as any other, with the fake backend."""

import sys

from msgspec import Struct

from vulcan_chassis.service import Service, run
from vulcan_eventstore.connection import Bus, NatsSettings
from vulcan_eventstore.log_writer import LogWriterSettings
from vulcan_eventstore.streams import StreamSettings, ensure_streams
from vulcan_sandbox.executor import start_executor
from vulcan_sandbox.fake import FakeBackend
from vulcan_sandbox.settings import ExecutorSettings


class Settings(Struct, frozen=True, kw_only=True):
    """What every executor can be told."""

    nats: NatsSettings = NatsSettings()
    streams: StreamSettings = StreamSettings()
    node: str = "fake"
    executor: ExecutorSettings = ExecutorSettings()
    log_writer: LogWriterSettings = LogWriterSettings()


async def wire(service: Service, settings: Settings) -> None:
    """Connect, and begin to run workloads."""
    bus = await Bus.connect(settings.nats, name=service.name)
    service.on_stop(bus.close, name="bus")
    await ensure_streams(bus, settings.streams)
    await start_executor(
        service, bus, FakeBackend(), node=settings.node, settings=settings.executor, log_settings=settings.log_writer
    )


if __name__ == "__main__":
    sys.exit(run("executor-fake", Settings, wire))
