"""The short way to a client: in step with ASGI's own, and never past what has to go first."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from vulcan_chassis.direct_body import DirectBody, chunk, direct_body
from vulcan_chassis.server import HttpServer

START = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


def piece(body: bytes, *, more: bool = True) -> dict[str, Any]:
    return {"type": "http.response.body", "body": body, "more_body": more}


class App:
    """Begins an answer and leaves its body to the test, until that lets it end."""

    def __init__(self) -> None:
        self.bodies: asyncio.Queue[DirectBody] = asyncio.Queue()
        self.end = asyncio.Event()

    async def __call__(self, scope: Any, _: Any, send: Any) -> None:
        body = direct_body(scope)
        assert body is not None
        await send(START)
        await send(piece(b"first,"))
        self.bodies.put_nowait(body)
        await self.end.wait()
        await send(piece(b"last", more=False))


@asynccontextmanager
async def serving(app: Any) -> AsyncIterator[HttpServer]:
    server = HttpServer(app, "127.0.0.1:0", stop_timeout_s=1)
    server.bind()
    task = asyncio.create_task(server.run())
    await server.listening()
    try:
        yield server
    finally:
        await server.stop()
        await task


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while True:
            if condition():
                return
            await asyncio.sleep(0.005)


async def test_what_is_written_stands_between_what_is_sent() -> None:
    app = App()
    async with serving(app) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(GET)
        body = await app.bodies.get()
        assert body.write(chunk(b"second,"))
        assert body.write(chunk(b"third,"))
        app.end.set()
        answer = await reader.readuntil(b"0\r\n\r\n")
        assert (
            answer.partition(b"\r\n\r\n")[2] == b"6\r\nfirst,\r\n7\r\nsecond,\r\n6\r\nthird,\r\n4\r\nlast\r\n0\r\n\r\n"
        )
        assert not body.write(chunk(b"after the end")), "the next answer begins here"
        writer.close()


async def test_before_the_head_nothing_is_written() -> None:
    seen: list[bool] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        body = direct_body(scope)
        assert body is not None
        seen.append(body.write(chunk(b"x")))
        await send(START)
        seen.append(body.write(chunk(b"y")))
        await send(piece(b"", more=False))
        seen.append(body.write(chunk(b"z")))

    async with serving(app) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(GET)
        answer = await asyncio.wait_for(reader.readuntil(b"0\r\n\r\n"), 10)
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert answer.endswith(b"\r\n\r\n1\r\ny\r\n0\r\n\r\n")
        assert seen == [False, True, False]
        writer.close()


async def test_an_answer_of_a_known_length_is_not_added_to() -> None:
    refused: list[bool] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({**START, "headers": [(b"content-length", b"2")]})
        body = direct_body(scope)
        assert body is not None
        refused.append(not body.write(chunk(b"x")))
        await send(piece(b"ok", more=False))

    async with serving(app) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(GET)
        assert (await asyncio.wait_for(reader.readuntil(b"ok"), 10)).endswith(b"\r\n\r\nok")
        assert refused == [True]
        writer.close()


async def test_a_client_that_reads_nothing_gets_nothing_more() -> None:
    app = App()
    large = chunk(b"x" * 100_000)
    async with serving(app) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1024)
        writer.write(GET)
        body = await app.bodies.get()
        wrote = 0
        while body.write(large):
            wrote += 1
            assert wrote < 1000
        assert not body.write(large)
        left = wrote * len(large)
        while left > 0:
            left -= len(await reader.read(65536))
        await eventually(lambda: body.write(chunk(b"again")))
        writer.close()
        await eventually(lambda: not body.write(chunk(b"gone")))
        app.end.set()


async def test_who_sends_a_request_before_the_answers_end_has_the_long_way() -> None:
    app = App()
    async with serving(app) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(GET)
        body = await app.bodies.get()
        assert body.write(chunk(b"x"))
        writer.write(GET)
        await eventually(lambda: not body.write(chunk(b"y")))
        app.end.set()
        await reader.readuntil(b"0\r\n\r\n")
        assert b"HTTP/1.1 200 OK" in await reader.readuntil(b"0\r\n\r\n")
        writer.close()


async def test_whether_the_request_is_here_in_full() -> None:
    known: asyncio.Queue[bool] = asyncio.Queue()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        body = direct_body(scope)
        assert body is not None
        known.put_nowait(body.request_received)
        while (await receive())["more_body"]:
            pass
        known.put_nowait(body.request_received)
        await send(START)
        await send(piece(b"", more=False))

    async with serving(app) as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n"
        writer.write(head + b"ab")
        assert await known.get() is False
        writer.write(b"cd")
        assert await known.get() is True
        writer.write(head + b"abcd")
        assert await known.get() is True
        writer.close()


def test_a_server_that_offers_none() -> None:
    assert direct_body({"type": "http"}) is None


async def test_a_head_alone_does_not_wait_for_a_body() -> None:
    begun = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        await begun.wait()
        await send(piece(b"", more=False))

    async with serving(app) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(GET)
        assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)).startswith(b"HTTP/1.1 200 OK")
        begun.set()
        await reader.readuntil(b"0\r\n\r\n")
        writer.close()
