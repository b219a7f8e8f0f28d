from collections.abc import AsyncIterator

import pytest_asyncio

from support.v8_backend import backend
from vulcan_executor_v8.backend import V8Backend


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def v8() -> AsyncIterator[V8Backend]:
    async with backend() as made:
        yield made
