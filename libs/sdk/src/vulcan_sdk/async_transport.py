"""Carries out the steps of a flow with httpx, on asyncio."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from vulcan_sdk.config import Config
from vulcan_sdk.http import TOO_SLOW, answer, client_options, collect, failure, request_options
from vulcan_sdk.wire import Close, Emit, Failure, Flow, Open, Read, Request, Response, Send, Sleep, Step

T = TypeVar("T")


class AsyncTransport:
    """Drives flows. One connection pool, for one event loop."""

    def __init__(self, config: Config) -> None:
        self._client = httpx.AsyncClient(**client_options(config))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def finish(self, flow: Flow[T]) -> T:
        """Carry out the whole flow; what it emits is dropped."""
        async with _Steps(self._client) as steps:
            result: Any = None
            while True:
                try:
                    step = flow.send(result)
                except StopIteration as end:
                    value: T = end.value
                    return value
                result = await steps.perform(step)

    async def stream(self, flow: Flow[None]) -> AsyncGenerator[Any, None]:
        """Carry out the flow as its items are asked for."""
        async with _Steps(self._client) as steps:
            result: Any = None
            while True:
                try:
                    step = flow.send(result)
                except StopIteration:
                    return
                result = await steps.perform(step)
                if isinstance(step, Emit):
                    yield step.item


class _Steps:
    """Performs steps; holds the stream that one of them opened."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self._opened: httpx.Response | None = None
        self._chunks: AsyncIterator[bytes] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self._close()

    async def perform(self, step: Step) -> Any:
        match step:
            case Send():
                return await self._send(step)
            case Open():
                return await self._open(step)
            case Read():
                return await self._read()
            case Close():
                await self._close()
            case Sleep():
                await asyncio.sleep(step.seconds)
            case Emit():
                pass
        return None

    async def _request(self, request: Request, timeout_s: float, read_timeout_s: float) -> httpx.Response:
        content = None if request.body is None else _in_thread(request.body())
        options = request_options(request, timeout_s, read_timeout_s)
        return await self._client.send(self._client.build_request(content=content, **options), stream=True)

    async def _send(self, step: Send) -> Response | Failure:
        try:
            async with asyncio.timeout(step.timeout_s):
                response = await self._request(step.request, step.timeout_s, step.timeout_s)
                return answer(response, await _whole(response))
        except TimeoutError:
            return TOO_SLOW
        except httpx.TransportError as error:
            return failure(error)

    async def _open(self, step: Open) -> Response | Failure:
        await self._close()
        try:
            response = await self._request(step.request, step.timeout_s, step.idle_timeout_s)
            if response.status_code < 400:
                self._opened = response
                self._chunks = response.aiter_bytes()
                return answer(response)
            return answer(response, await _whole(response))
        except httpx.TransportError as error:
            return failure(error)

    async def _read(self) -> bytes | Failure | None:
        if self._chunks is None:
            return None
        try:
            return await anext(self._chunks, None)
        except httpx.TransportError as error:
            return failure(error)

    async def _close(self) -> None:
        self._chunks = None
        if self._opened is not None:
            opened, self._opened = self._opened, None
            await opened.aclose()


async def _whole(response: httpx.Response) -> bytes:
    try:
        body = bytearray()
        async for chunk in response.aiter_bytes():
            collect(body, chunk)
        return bytes(body)
    finally:
        await response.aclose()


async def _in_thread(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Chunks that are read and compressed off the event loop."""
    while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
        yield chunk
