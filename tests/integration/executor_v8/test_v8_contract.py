import shutil
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from support.v8_backend import HAS_BWRAP, new_node, settings
from support.v8_programs import V8Programs
from vulcan_executor_v8 import wiring
from vulcan_executor_v8.backend import V8Backend
from vulcan_sandbox.contract import BackendContract, Target
from vulcan_sandbox.protocol import Backend


async def _target(jail: str) -> AsyncIterator[Target]:
    node, config = new_node(), settings(jail=jail)
    lives: list[V8Backend] = [wiring.backend(config, node)]
    await lives[0].recover()

    async def reborn() -> Backend:
        await lives[-1].abandon()
        lives.append(wiring.backend(config, node))
        return lives[-1]

    try:
        yield Target(
            backend=lives[0],
            programs=V8Programs(),
            leftovers=lambda: lives[-1].leftovers(),  # noqa: PLW0108  # the last life, whichever that is then
            reborn=reborn,
        )
    finally:
        for life in lives:
            await life.close()
        shutil.rmtree(config.run_dir)


@pytest.mark.skipif(
    not HAS_BWRAP, reason="bubblewrap is not installed or makes no jail here: the jail itself is NOT tested here"
)
class TestV8BackendInItsJail(BackendContract):
    @pytest_asyncio.fixture
    async def target(self) -> AsyncIterator[Target]:
        async for target in _target("auto"):
            yield target


class TestV8BackendWithoutAJail(BackendContract):
    @pytest_asyncio.fixture
    async def target(self) -> AsyncIterator[Target]:
        async for target in _target("none"):
            yield target
