"""The gateway's connections to Postgres, at moments that a server which is killed leaves."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest
import pytest_asyncio

from support.gateway import eventually
from vulcan_gateway.db.pool import Database, PoolSettings, ProjectionUnavailableError

_SOCKET = ".s.PGSQL.5432"


class Proxy:
    """Before a Postgres. Its last words are passed on, and that it has hung up is not: as when they are on the way."""

    def __init__(self, url: str, folder: Path) -> None:
        self._server = Path(parse_qs(urlsplit(url).query)["host"][0], _SOCKET)
        self._folder = folder
        self.url = f"{url.partition('?')[0]}?host={folder}"
        self._writers: list[asyncio.StreamWriter] = []
        self.hung_up = asyncio.Event()

    async def start(self) -> asyncio.Server:
        return await asyncio.start_unix_server(self._serve, self._folder / _SOCKET)

    async def close(self) -> None:
        for writer in self._writers:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_unix_connection(self._server)
        self._writers += [writer, to_server]
        async with asyncio.TaskGroup() as group:
            group.create_task(_pass_on(reader, to_server))
            await group.create_task(_pass_on(from_server, writer))
            self.hung_up.set()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        return


@pytest_asyncio.fixture
async def proxy(database_url: str) -> AsyncIterator[Proxy]:
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        proxy = Proxy(database_url, Path(short))
        server = await proxy.start()
        yield proxy
        server.close()
        await proxy.close()


async def test_a_connection_that_was_taken_leave_of_is_replaced(database_url: str, proxy: Proxy) -> None:
    database = Database(proxy.url, PoolSettings(retry_after_s=0.01))
    try:
        [[pid]] = await database.fetch("SELECT pg_backend_pid()")
        direct = await asyncpg.connect(database_url)
        await direct.execute("SELECT pg_terminate_backend($1)", pid)
        await direct.close()
        await proxy.hung_up.wait()
        await asyncio.sleep(0)  # the pool's connection takes what is there for it
        await asyncio.sleep(0)
        with pytest.raises(ProjectionUnavailableError):
            await database.fetch("SELECT 1")

        async def tries_again() -> bool:
            return not database.away

        await eventually(tries_again)
        [[one]] = await database.fetch("SELECT 1")
        assert one == 1
    finally:
        await database.close()
