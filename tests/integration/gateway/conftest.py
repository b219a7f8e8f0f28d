"""A gateway on a NATS and a Postgres of its own, for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from support.gateway import Gateway, World, eventually, settings_for
from support.nats import NatsServer, bus, nats_server
from support.postgres import database_url, postgres_server
from vulcan_contracts.tenants import new_token
from vulcan_eventstore.connection import Bus
from vulcan_gateway.settings import GatewaySettings

__all__ = ["bus", "database_url", "nats_server", "postgres_server"]


@pytest.fixture
def admin_token() -> str:
    return new_token()


@pytest.fixture
def settings(nats_server: NatsServer, database_url: str, tmp_path: Path, admin_token: str) -> GatewaySettings:
    key = tmp_path / "admin.key"
    key.write_text(admin_token + "\n")
    return settings_for(nats_server, database_url, key)


@pytest_asyncio.fixture
async def gateway(settings: GatewaySettings) -> AsyncIterator[Gateway]:
    running = Gateway(settings)
    await running.start()
    yield running
    await running.stop()


@pytest_asyncio.fixture
async def api(gateway: Gateway, admin_token: str) -> AsyncIterator[httpx.AsyncClient]:
    async with gateway.client(admin_token) as client:
        yield client


@pytest_asyncio.fixture
async def world(gateway: Gateway, bus: Bus, api: httpx.AsyncClient) -> World:
    there = World(bus)
    await there.beat()

    async def known() -> bool:
        return bool((await api.get("/v1/nodes")).json()["items"])

    await eventually(known)
    return there
