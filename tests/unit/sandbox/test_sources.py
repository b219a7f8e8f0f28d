import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.archives import tar_gz
from vulcan_contracts import subjects
from vulcan_contracts.reasons import Reason
from vulcan_contracts.spec import (
    ArchiveSource,
    FilesSource,
    ImageSource,
    InlineSource,
    Resources,
    Runtime,
    Source,
    Spec,
)
from vulcan_eventstore.errors import BlobNotFoundError, EventStoreUnavailableError
from vulcan_sandbox.protocol import BackendFaultError, RunRefusedError, SourceTree
from vulcan_sandbox.settings import ExecutorSettings
from vulcan_sandbox.source import source_tree


class StoredBlobs:
    def __init__(self, *, error: Exception | None = None) -> None:
        self.content: dict[str, bytes] = {}
        self._error = error

    async def open(self, name: str) -> AsyncIterator[bytes]:
        if name not in self.content:
            raise BlobNotFoundError(name)
        yield self.content[name][:100]
        if self._error is not None:
            raise self._error
        yield self.content[name][100:]


def tree(
    source: Source, scratch: Path, *, blobs: StoredBlobs | None = None, runtime: Runtime | None = "javascript"
) -> SourceTree:
    spec = Spec(source=source, runtime=runtime, resources=Resources(disk_mb=1))
    made = source_tree(spec, "acme", blobs or StoredBlobs(), ExecutorSettings(scratch_dir=str(scratch)))
    assert made is not None
    return made


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


@pytest.mark.parametrize(
    ("runtime", "name"),
    [("javascript", "main.js"), ("typescript", "main.ts"), ("python", "main.py"), (None, "main.js")],
)
async def test_inline(out: Path, scratch: Path, runtime: Runtime | None, name: str) -> None:
    made = tree(InlineSource(code="print('✓')"), scratch, runtime=runtime)
    await made.write_to(out)
    assert made.entrypoint == name
    assert (out / name).read_text() == "print('✓')"
    assert (out / name).stat().st_mode & 0o777 == 0o644


async def test_files(out: Path, scratch: Path) -> None:
    made = tree(FilesSource(files={"src/a/main.js": "1", "src/b.js": "2"}, entrypoint="src/a/main.js"), scratch)
    await made.write_to(out)
    assert (out / "src/a/main.js").read_text() == "1"
    assert (out / "src/b.js").read_text() == "2"
    assert (out / "src/a").stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize(
    ("files", "entrypoint", "says"),
    [
        ({"../x": "1"}, "../x", "'..'"),
        ({"/x": "1"}, "/x", "absolute"),
        ({"a": "1"}, "b", "not among"),
        ({"a": "1", "a/b": "2"}, "a", "at once"),
        ({"a": "x" * 1_048_577}, "a", "disk limit"),
        ({"a": "\ud800"}, "a", "surrogate"),
    ],
)
async def test_files_that_cannot_be(
    out: Path, scratch: Path, files: dict[str, str], entrypoint: str, says: str
) -> None:
    with pytest.raises(RunRefusedError, match=says) as refusal:
        await tree(FilesSource(files=files, entrypoint=entrypoint), scratch).write_to(out)
    assert refusal.value.reason is Reason.INVALID_SOURCE


def test_an_image_has_no_tree() -> None:
    spec = Spec(source=ImageSource(image="alpine"))
    assert source_tree(spec, "acme", StoredBlobs(), ExecutorSettings()) is None


def archive(tmp_path: Path, blobs: StoredBlobs, *members: tuple[str, bytes], **changes: object) -> ArchiveSource:
    content = tar_gz(tmp_path / "made", *members).read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    blobs.content[subjects.source_blob("acme", digest)] = content
    return ArchiveSource(entrypoint="main.js", sha256=digest, size_bytes=len(content), format="tar.gz")


def names(folder: Path) -> list[str]:
    return sorted(found.name for found in folder.iterdir())


async def test_archive(tmp_path: Path, out: Path, scratch: Path) -> None:
    blobs = StoredBlobs()
    await tree(archive(tmp_path, blobs, ("main.js", b"code")), scratch, blobs=blobs).write_to(out)
    assert (out / "main.js").read_bytes() == b"code"
    assert names(scratch) == []


async def test_a_bad_archive_is_its_owners_fault(tmp_path: Path, out: Path, scratch: Path) -> None:
    blobs = StoredBlobs()
    with pytest.raises(RunRefusedError, match=r"'\.\./up'") as refusal:
        await tree(archive(tmp_path, blobs, ("../up", b"x")), scratch, blobs=blobs).write_to(out)
    assert refusal.value.reason is Reason.INVALID_SOURCE
    assert names(scratch) == []


async def test_an_archive_larger_than_the_disk(tmp_path: Path, out: Path, scratch: Path) -> None:
    blobs = StoredBlobs()
    with pytest.raises(RunRefusedError, match="disk limit"):
        await tree(archive(tmp_path, blobs, ("main.js", b"x" * 2_000_000)), scratch, blobs=blobs).write_to(out)


async def test_a_lost_archive_is_the_hosts_fault(tmp_path: Path, out: Path, scratch: Path) -> None:
    blobs = StoredBlobs()
    source = archive(tmp_path, blobs, ("main.js", b"x"))
    blobs.content.clear()
    with pytest.raises(BackendFaultError):
        await tree(source, scratch, blobs=blobs).write_to(out)


@pytest.mark.parametrize(
    "change", [lambda content: content[:-1] + b"!", lambda content: content + b"more", lambda content: content[:-1]]
)
async def test_another_archive_is_the_hosts_fault(tmp_path: Path, out: Path, scratch: Path, change) -> None:  # type: ignore[no-untyped-def]
    blobs = StoredBlobs()
    source = archive(tmp_path, blobs, ("main.js", b"x"))
    blobs.content = {name: change(content) for name, content in blobs.content.items()}
    with pytest.raises(BackendFaultError):
        await tree(source, scratch, blobs=blobs).write_to(out)
    assert names(out) == []
    assert names(scratch) == []


async def test_a_store_that_goes_away_is_the_hosts_fault(tmp_path: Path, out: Path, scratch: Path) -> None:
    blobs = StoredBlobs(error=EventStoreUnavailableError("gone"))
    with pytest.raises(BackendFaultError, match="gone"):
        await tree(archive(tmp_path, blobs, ("main.js", b"x")), scratch, blobs=blobs).write_to(out)


async def test_unpacking_can_be_cancelled(tmp_path: Path, out: Path, scratch: Path) -> None:
    blobs = StoredBlobs()
    members = [(f"f{number}", b"x" * 1000) for number in range(900)]
    writing = asyncio.create_task(tree(archive(tmp_path, blobs, *members), scratch, blobs=blobs).write_to(out))
    while True:
        if names(out) or writing.done():
            break
        await asyncio.sleep(0)
    writing.cancel()
    await asyncio.wait({writing})
    there = len(names(out))
    assert writing.cancelled()
    await asyncio.sleep(0.05)
    assert len(names(out)) == there, "a thread went on writing"
    assert names(scratch) == []
