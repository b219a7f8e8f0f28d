"""Tests that kill or freeze the server get their own; all others share one, with fresh streams."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from support.nats import NatsServer, nats_server
from vulcan_eventstore.connection import Bus
from vulcan_eventstore.jetstream import call
from vulcan_eventstore.streams import StreamSettings, ensure_streams

__all__ = ["bus", "nats_server", "shared_nats_server"]


@pytest.fixture(scope="session")
def shared_nats_server() -> Iterator[NatsServer]:
    with tempfile.TemporaryDirectory(prefix="vulcan-nats-") as folder:
        server = NatsServer(Path(folder)).start()
        yield server
        server.kill()


@pytest_asyncio.fixture
async def bus(request: pytest.FixtureRequest) -> AsyncIterator[Bus]:
    own = "nats_server" in request.fixturenames
    server: NatsServer = request.getfixturevalue("nats_server" if own else "shared_nats_server")
    async with await Bus.connect(server.settings, name="test") as connection:
        if not own:
            await _delete_streams(connection)
        await ensure_streams(connection, StreamSettings())
        yield connection


async def _delete_streams(bus: Bus) -> None:
    names = msgspec.json.decode(await call(bus, "STREAM.NAMES"), type=dict[str, Any])["streams"] or []
    for name in names:
        await call(bus, f"STREAM.DELETE.{name}")
