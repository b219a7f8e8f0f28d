"""What a stranger can do before there is a request: not much, and not for long."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any, Final

import pytest
import pytest_asyncio

from vulcan_chassis import http_protocol
from vulcan_chassis.server import HttpServer

UNREAD: Final = b"x" * 8_000_000
"""More than the kernel's buffers take."""


async def hello(scope: object, receive: object, send: object) -> None:
    assert callable(send)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@asynccontextmanager
async def serve(app: object) -> AsyncIterator[HttpServer]:
    running = HttpServer(app, "127.0.0.1:0", stop_timeout_s=1)
    running.bind()
    serving = asyncio.create_task(running.run())
    await running.listening()
    yield running
    await running.stop()
    await serving


@pytest_asyncio.fixture
async def server() -> AsyncIterator[HttpServer]:
    async with serve(hello) as running:
        yield running


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


class Collects:
    """Answers once the whole request has come, and keeps the headers that there were then."""

    def __init__(self) -> None:
        self.headers: list[list[tuple[bytes, bytes]]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        while (message := await receive()).get("more_body"):
            pass
        if message["type"] == "http.request":
            self.headers.append(list(scope["headers"]))
            await hello(scope, receive, send)


CHUNKED: Final = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"
CLOSING: Final = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize("pieces", [1, 2])
async def test_a_trailer_is_no_header(pieces: int) -> None:
    app = Collects()
    sent = [CHUNKED + b"0\r\nX-A: a\r\nAuthorization: b\r\n\r\n", CLOSING]
    async with serve(app) as server:
        answer = await exchange(server, *(sent if pieces == 2 else [b"".join(sent)]))
    assert answer.count(b"HTTP/1.1 200 OK") == 2
    assert app.headers == [
        [(b"host", b"x"), (b"transfer-encoding", b"chunked")],
        [(b"host", b"x"), (b"connection", b"close")],
    ]


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (CHUNKED + b"0\r\n", b"a: b\r\n" * 1000),
        (CHUNKED + b"0\r\nX: ", b"x" * 6000),
        (CHUNKED + b"2;x=", b"x" * 6000),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\r\n" * 3000),
    ],
    ids=["trailers", "a trailer", "a chunk's extension", "line ends"],
)
async def test_what_is_endless_behind_a_head_is_cut_off(start: bytes, piece: bytes) -> None:
    async with serve(Collects()) as server:
        answer = await exchange(server, start, *([piece] * 200))
    assert answer == b"reset" or b"HTTP/1.1 431" in answer


async def test_a_body_in_many_chunks_is_not_cut_off() -> None:
    app = Collects()
    head = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with serve(app) as server:
        answer = await exchange(server, head, *([b"1;x=y\r\n{\r\n" * 600] * 50), b"0\r\n\r\n")
    assert answer.endswith(b"ok")


class Unread:
    """Sends more than is read; `ended` once it may go on to something else."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = pieces
        self.ended = asyncio.Event()

    async def __call__(self, _scope: Any, _receive: Any, send: Any) -> None:
        size = sum(map(len, self._pieces))
        head = [(b"content-length", str(size).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        for number, piece in enumerate(self._pieces, 1):
            await send({"type": "http.response.body", "body": piece, "more_body": number < len(self._pieces)})
        self.ended.set()


@asynccontextmanager
async def connection(server: HttpServer, request: bytes) -> AsyncIterator[socket.socket]:
    """A client that has sent a request, and reads only what it is told to."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        client.settimeout(0)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(client, ("127.0.0.1", server.port))
        await loop.sock_sendall(client, request)
        yield client


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(2):
        while not true():  # noqa: ASYNC110 - nothing says when uvicorn lets go of a connection
            await asyncio.sleep(0.01)


def connections(server: HttpServer) -> int:
    return len(server._server.server_state.connections)


GET: Final = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize("request_", [GET, CLOSING], ids=["keep-alive", "closing"])
@pytest.mark.parametrize("pieces", [[UNREAD], [UNREAD, b"x"]], ids=["whole", "in pieces"])
async def test_who_does_not_read_is_cut_off(
    pieces: list[bytes], request_: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_protocol, "WRITE_TIMEOUT_S", 0.2)
    app = Unread(*pieces)
    async with serve(app) as server, connection(server, request_):
        await until(lambda: connections(server) == 1)
        await asyncio.wait_for(app.ended.wait(), 2)
        await until(lambda: connections(server) == 0)


async def test_who_reads_slowly_is_not_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "WRITE_TIMEOUT_S", 0.3)
    loop = asyncio.get_running_loop()
    received = 0
    async with serve(Unread(UNREAD)) as server, asyncio.timeout(10):
        assert server._socket is not None
        server._socket.setsockopt(
            socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536
        )  # else the kernel takes it in large steps
        async with connection(server, CLOSING) as client:
            while piece := await loop.sock_recv(client, 65_536):
                received += len(piece)
                await asyncio.sleep(0.005)
    assert received > len(UNREAD)


async def test_a_request_that_waited_behind_another_has_a_context_of_its_own() -> None:
    mark: ContextVar[str] = ContextVar("mark", default="none")
    seen: list[str] = []

    async def app(scope: Any, receive: object, send: object) -> None:
        if scope["type"] == "lifespan":
            return
        seen.append(mark.get())
        mark.set("first")
        await asyncio.sleep(0)
        await hello(scope, receive, send)

    async with serve(app) as server:
        assert (await exchange(server, GET + CLOSING)).count(b"HTTP/1.1 200 OK") == 2
    assert seen == ["none", "none"]


@pytest.mark.parametrize("request_", [GET, CLOSING], ids=["keep-alive", "closing"])
async def test_what_is_left_of_a_closed_connection_is_cut_off(request_: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where so little is left unread that nobody had to wait for it."""
    monkeypatch.setattr(http_protocol, "WRITE_TIMEOUT_S", 0.2)

    async def app(scope: Any, _: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return
        (connected,) = server._server.server_state.connections
        connected.timeout_keep_alive = 0  # type: ignore[union-attr]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while not connected.transport.get_write_buffer_size():
            await send({"type": "http.response.body", "body": b"x" * 8_000, "more_body": True})
            await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        ended.set()

    ended = asyncio.Event()
    async with serve(app) as server, connection(server, request_):
        await asyncio.wait_for(ended.wait(), 2)
        await until(lambda: connections(server) == 0)
