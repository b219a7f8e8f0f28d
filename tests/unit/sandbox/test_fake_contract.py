from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from support.fake_programs import FakePrograms
from vulcan_sandbox.contract import BackendContract, Target
from vulcan_sandbox.fake import FakeBackend
from vulcan_sandbox.protocol import Backend


class TestFakeBackend(BackendContract):
    @pytest_asyncio.fixture
    async def target(self, tmp_path: Path) -> AsyncIterator[Target]:
        lives = [FakeBackend(root=tmp_path)]

        async def reborn() -> Backend:
            await lives[-1].die()
            lives.append(FakeBackend(root=tmp_path))
            return lives[-1]

        yield Target(
            backend=lives[0],
            programs=FakePrograms(),
            leftovers=lambda: [*lives[-1].leftovers(), *lives[-1].tasks],
            reborn=reborn,
        )
        for life in lives:
            await life.close()
