from collections.abc import AsyncIterator

import pytest_asyncio

from support.nats import bus, nats_server
from support.v8_backend import backend
from vulcan_executor_v8.backend import V8Backend

__all__ = ["bus", "nats_server", "v8"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def v8() -> AsyncIterator[V8Backend]:
    async with backend() as made:
        yield made
