import hashlib
from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest

from vulcan_contracts.reasons import Reason
from vulcan_sandbox.artifacts import ArtifactLimits, store
from vulcan_sandbox.fake import FakeArtifact
from vulcan_sandbox.protocol import BackendFaultError, ProducedArtifact, RunRefusedError

LIMITS = ArtifactLimits(max_count=3, max_mb=1)


class Stored(NamedTuple):
    size_bytes: int
    sha256: str


class MemoryBlobs:
    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}

    async def put(self, name: str, content: AsyncIterator[bytes]) -> Stored:
        data = b"".join([chunk async for chunk in content])
        self.content[name] = data
        return Stored(len(data), hashlib.sha256(data).hexdigest())


async def kept(*produced: ProducedArtifact, blobs: MemoryBlobs | None = None) -> list[str]:
    stored = await store(
        list(produced), tenant="acme", workload_id="wl_1", attempt=2, blobs=blobs or MemoryBlobs(), limits=LIMITS
    )
    return [artifact.name for artifact in stored]


async def test_stored_under_the_workload(tmp_path: object) -> None:
    blobs = MemoryBlobs()
    assert await kept(FakeArtifact("b/x.png", b"2"), FakeArtifact("a.json", b"1"), blobs=blobs) == ["a.json", "b/x.png"]
    assert blobs.content == {"acme/artifacts/wl_1/2/a.json": b"1", "acme/artifacts/wl_1/2/b/x.png": b"2"}


async def test_what_they_are() -> None:
    stored = await store(
        [FakeArtifact("x.png", b"12"), FakeArtifact("x.tar.gz", b""), FakeArtifact("noend", b"")],
        tenant="acme",
        workload_id="wl_1",
        attempt=1,
        blobs=MemoryBlobs(),
        limits=LIMITS,
    )
    types = {artifact.name: artifact.media_type for artifact in stored}
    unknown = "application/octet-stream"
    assert types == {"x.png": "image/png", "x.tar.gz": unknown, "noend": unknown}
    assert stored[1].sha256 == hashlib.sha256(b"12").hexdigest()


async def test_too_many() -> None:
    with pytest.raises(RunRefusedError, match="at most 3") as refusal:
        await kept(*(FakeArtifact(str(number), b"") for number in range(4)))
    assert refusal.value.reason is Reason.DISK_LIMIT


async def test_too_much_together() -> None:
    with pytest.raises(RunRefusedError, match="'b'") as refusal:
        await kept(FakeArtifact("a", b"x" * 600_000), FakeArtifact("b", b"x" * 600_000))
    assert refusal.value.reason is Reason.DISK_LIMIT


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "", "a/../b", "a\0b", "a\nb"])
async def test_a_backend_that_names_it_badly_is_at_fault(name: str) -> None:
    blobs = MemoryBlobs()
    with pytest.raises(BackendFaultError):
        await kept(FakeArtifact(name, b""), blobs=blobs)
    assert blobs.content == {}


async def test_the_same_name_twice() -> None:
    with pytest.raises(BackendFaultError):
        await kept(FakeArtifact("a", b"1"), FakeArtifact("a", b"2"))
