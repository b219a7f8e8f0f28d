"""What a stranger can do before there is a request: not much, and not for long."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from vulcan_chassis import http_protocol
from vulcan_chassis.server import HttpServer


async def hello(scope: object, receive: object, send: object) -> None:
    assert callable(send)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest_asyncio.fixture
async def server() -> AsyncIterator[HttpServer]:
    running = HttpServer(hello, "127.0.0.1:0", stop_timeout_s=1)
    running.bind()
    serving = asyncio.create_task(running.run())
    await running.listening()
    yield running
    await running.stop()
    await serving


async def exchange(server: HttpServer, *pieces: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        return await asyncio.wait_for(reader.read(), 10)
    except ConnectionError:
        return b"reset"
    finally:
        writer.close()


async def test_a_head_of_a_common_size(server: HttpServer) -> None:
    cookie = b"x" * 30_000
    head = b"GET / HTTP/1.1\r\nHost: x\r\nCookie: " + cookie + b"\r\nConnection: close\r\n\r\n"
    assert (await exchange(server, head)).endswith(b"ok")


async def test_many_requests_on_one_connection(server: HttpServer) -> None:
    one = b"GET / HTTP/1.1\r\nHost: x\r\nCookie: " + b"x" * 5_000 + b"\r\n"
    answer = await exchange(server, *([one + b"\r\n"] * 50), one + b"Connection: close\r\n\r\n")
    assert answer.count(b"HTTP/1.1 200 OK") == 51


@pytest.mark.parametrize("start", [b"GET / HTTP/1.1\r\nX: ", b"GET /", b"GET / HTTP/1.1\r\n"])
async def test_an_endless_head_is_cut_off(server: HttpServer, start: bytes) -> None:
    piece = b"a: b\r\n" * 1000 if start.endswith(b"\r\n") else b"x" * 6000
    answer = await exchange(server, start, *([piece] * 200))
    assert answer == b"reset" or answer.startswith(b"HTTP/1.1 431")


async def test_a_head_that_never_ends_in_time(server: HttpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "HEAD_TIMEOUT_S", 0.1)
    assert (await exchange(server, b"GET / HTTP/1.1\r\nHost:")).startswith(b"HTTP/1.1 408")
    assert (await exchange(server)).startswith(b"HTTP/1.1 408")
