"""The server that the fan-out of lines is compared with: Starlette on uvicorn with uvloop and httptools, a queue each.

What it is to broadcast comes as ready frames over a plain socket, so that it neither encodes nor parses anything.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

_readers: set["asyncio.Queue[bytes]"] = set()


async def _broadcast(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            event = await reader.readuntil(b"\n\n")
            for queue in _readers:
                queue.put_nowait(event)
    except asyncio.IncompleteReadError:
        writer.close()


async def _events(queue: "asyncio.Queue[bytes]") -> AsyncIterator[bytes]:
    yield b"retry: 1000\n\n"
    try:
        while True:
            yield await queue.get()
    finally:
        _readers.discard(queue)


async def follow(_: Request) -> StreamingResponse:
    """Everything from now on."""
    queue: asyncio.Queue[bytes] = asyncio.Queue(1000)
    _readers.add(queue)
    return StreamingResponse(_events(queue), media_type="text/event-stream", headers={"Cache-Control": "no-store"})


@asynccontextmanager
async def _lifespan(_: Starlette) -> AsyncIterator[None]:
    async with await asyncio.start_server(_broadcast, "127.0.0.1", int(os.environ["FEED_PORT"])):
        yield


app = Starlette(routes=[Route("/events", follow)], lifespan=_lifespan)

if __name__ == "__main__":
    uvicorn.run(
        app,
        port=int(os.environ["PORT"]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="error",
        timeout_graceful_shutdown=1,
    )
