"""A scripted server, and both clients behind one face: every test of behaviour runs against each."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from support.http_server import HttpServer
from vulcan_sdk import AsyncVulcan, RetryPolicy, Vulcan

QUICK = RetryPolicy(max_attempts=4, first_delay_s=0.001, max_delay_s=0.01, reconnect_s=0.5)


@pytest.fixture
def server() -> Iterator[HttpServer]:
    with HttpServer.running() as running:
        yield running


class Blocking:
    """The sync client."""

    def __init__(self, url: str, **options: Any) -> None:
        self._options: dict[str, Any] = {"url": url, "api_key": "vk_test", "retries": QUICK, "environ": {}} | options

    def __call__(self, method: str, *args: Any, **kwargs: Any) -> Any:
        with Vulcan(**self._options) as vulcan:
            found = getattr(vulcan, method)(*args, **kwargs)
            return list(found) if isinstance(found, Iterator) else found


class Awaiting(Blocking):
    """The async client, each call in a loop of its own."""

    def __call__(self, method: str, *args: Any, **kwargs: Any) -> Any:
        async def call() -> Any:
            async with AsyncVulcan(**self._options) as vulcan:
                found = getattr(vulcan, method)(*args, **kwargs)
                return [item async for item in found] if hasattr(found, "__aiter__") else await found

        return asyncio.run(call())


Client = Callable[..., Any]


@pytest.fixture(params=[Blocking, Awaiting])
def make(request: pytest.FixtureRequest, server: HttpServer) -> Callable[..., Client]:
    """Makes a client of the server, with other options if wanted."""
    kind: type[Blocking] = request.param
    return lambda **options: kind(**{"url": server.url} | options)


@pytest.fixture
def client(make: Callable[..., Client]) -> Client:
    return make()
