"""The embedded HTTP server: ports, graceful stop, failures."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from litestar import Litestar, get
from litestar.response import Stream

from vulcan_chassis.listen import parse_listen
from vulcan_chassis.server import HttpServer, HttpServerError


@pytest.mark.parametrize(
    ("listen", "expected"),
    [
        ("127.0.0.1:8080", ("127.0.0.1", 8080)),
        (":0", ("0.0.0.0", 0)),  # noqa: S104 - what an empty host means
        ("[::1]:1", ("::1", 1)),
        ("localhost:65535", ("localhost", 65535)),
    ],
)
def test_listen(listen: str, expected: tuple[str, int]) -> None:
    assert parse_listen(listen) == expected


@pytest.mark.parametrize("listen", ["", "8080", "host:", "host:x", "host:65536", "::1:80", "host:-1", "host:٣"])
def test_what_is_no_listen_address(listen: str) -> None:
    with pytest.raises(ValueError, match="not host:port"):
        parse_listen(listen)


async def test_it_chooses_a_port_and_lets_what_is_under_way_end() -> None:
    entered = asyncio.Event()
    release = asyncio.Event()

    @get("/slow")
    async def slow() -> str:
        entered.set()
        await release.wait()
        return "done"

    server = HttpServer(Litestar([slow], logging_config=None), "127.0.0.1:0", stop_timeout_s=5)
    server.bind()
    assert server.port > 0
    running = asyncio.create_task(server.run())
    await server.listening()
    async with httpx.AsyncClient(base_url=server.url) as client:
        request = asyncio.create_task(client.get("/slow"))
        await entered.wait()
        stopping = asyncio.create_task(server.stop())
        await asyncio.sleep(0.15)
        assert not stopping.done()
        release.set()
        assert (await request).text == "done"
        await asyncio.gather(stopping, running)
        with pytest.raises(httpx.ConnectError):
            await client.get("/slow")


async def test_what_never_ends_is_cut_off_at_the_deadline() -> None:
    cut = asyncio.Event()

    @get("/endless")
    async def endless() -> Stream:
        async def body() -> AsyncIterator[bytes]:
            try:
                while True:
                    yield b"x"
                    await asyncio.sleep(0.01)
            finally:
                cut.set()

        return Stream(body())

    server = HttpServer(Litestar([endless], logging_config=None), "127.0.0.1:0", stop_timeout_s=1)
    running = asyncio.create_task(server.run())
    await server.listening()
    async with httpx.AsyncClient(base_url=server.url) as client, client.stream("GET", "/endless") as answer:
        assert answer.status_code == 200
        await server.stop()
        await asyncio.wait_for(cut.wait(), 5)
    await running


async def test_a_taken_port_is_said() -> None:
    first = HttpServer(Litestar([], logging_config=None), "127.0.0.1:0")
    first.bind()
    running = asyncio.create_task(first.run())
    await first.listening()
    with pytest.raises(HttpServerError, match="Address already in use"):
        HttpServer(Litestar([], logging_config=None), first.address).bind()
    await first.stop()
    await running


async def test_an_application_that_does_not_start_is_said() -> None:
    async def fail() -> None:
        raise RuntimeError("no")

    server = HttpServer(Litestar([], on_startup=[fail], logging_config=None), "127.0.0.1:0")
    running = asyncio.create_task(server.run())
    with pytest.raises(HttpServerError, match="did not start"):
        await server.listening()
    with pytest.raises(HttpServerError, match="did not start"):
        await running
