"""Carries out the steps of a flow with httpx, blocking."""

import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from vulcan_sdk.config import Config
from vulcan_sdk.http import TOO_SLOW, answer, client_options, collect, failure, request_options
from vulcan_sdk.wire import Close, Emit, Failure, Flow, Open, Read, Request, Response, Send, Sleep, Step

T = TypeVar("T")


class Transport:
    """Drives flows. One connection pool; several threads may use it."""

    def __init__(self, config: Config) -> None:
        self._client = httpx.Client(**client_options(config))

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def finish(self, flow: Flow[T]) -> T:
        """Carry out the whole flow; what it emits is dropped."""
        with _Steps(self._client) as steps:
            result: Any = None
            while True:
                try:
                    step = flow.send(result)
                except StopIteration as end:
                    value: T = end.value
                    return value
                result = steps.perform(step)

    def stream(self, flow: Flow[None]) -> Iterator[Any]:
        """Carry out the flow as its items are asked for."""
        with _Steps(self._client) as steps:
            result: Any = None
            while True:
                try:
                    step = flow.send(result)
                except StopIteration:
                    return
                result = steps.perform(step)
                if isinstance(step, Emit):
                    yield step.item


class _Steps:
    """Performs steps; holds the stream that one of them opened."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client
        self._opened: httpx.Response | None = None
        self._chunks: Iterator[bytes] = iter(())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._close()

    def perform(self, step: Step) -> Any:
        match step:
            case Send():
                return self._send(step)
            case Open():
                return self._open(step)
            case Read():
                return self._read()
            case Close():
                self._close()
            case Sleep():
                time.sleep(step.seconds)
            case Emit():
                pass
        return None

    def _request(self, request: Request, timeout_s: float, read_timeout_s: float) -> httpx.Response:
        content = None if request.body is None else request.body()
        options = request_options(request, timeout_s, read_timeout_s)
        return self._client.send(self._client.build_request(content=content, **options), stream=True)

    def _send(self, step: Send) -> Response | Failure:
        deadline = time.monotonic() + step.timeout_s
        try:
            response = self._request(step.request, step.timeout_s, step.timeout_s)
            try:
                body = bytearray()
                for chunk in response.iter_bytes():
                    collect(body, chunk)
                    if time.monotonic() > deadline:
                        return TOO_SLOW
            finally:
                response.close()
        except httpx.TransportError as error:
            return failure(error)
        return answer(response, bytes(body))

    def _open(self, step: Open) -> Response | Failure:
        self._close()
        try:
            response = self._request(step.request, step.timeout_s, step.idle_timeout_s)
            if response.status_code < 400:
                self._opened = response
                self._chunks = response.iter_bytes()
                return answer(response)
            try:
                body = bytearray()
                for chunk in response.iter_bytes():
                    collect(body, chunk)
            finally:
                response.close()
        except httpx.TransportError as error:
            return failure(error)
        return answer(response, bytes(body))

    def _read(self) -> bytes | Failure | None:
        try:
            return next(self._chunks, None)
        except httpx.TransportError as error:
            return failure(error)

    def _close(self) -> None:
        if self._opened is not None:
            self._opened.close()
            self._opened = None
