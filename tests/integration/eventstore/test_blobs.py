"""Large things: streamed both ways, whole or not there."""

import asyncio
import hashlib
import os
import tracemalloc
from collections.abc import AsyncIterator

import pytest

from support.nats import NatsServer
from vulcan_contracts import subjects
from vulcan_eventstore import jetstream
from vulcan_eventstore.blobs import Blobs
from vulcan_eventstore.connection import Bus
from vulcan_eventstore.errors import BlobCorruptError, BlobNotFoundError, BlobTooLargeError

_MIB = 1024 * 1024


async def _pieces(content: bytes, size: int = 100_000) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


async def _read(blobs: Blobs, name: str) -> bytes:
    return b"".join([chunk async for chunk in blobs.open(name)])


async def test_twenty_megabytes_there_and_back_in_little_memory(bus: Bus) -> None:
    blobs = Blobs(bus)
    block = os.urandom(_MIB)

    async def twenty() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield block
        yield b"tail"

    expected = hashlib.sha256()
    for _ in range(20):
        expected.update(block)
    expected.update(b"tail")

    tracemalloc.start()
    info = await blobs.put("acme/sources/x", twenty())
    actual, size = hashlib.sha256(), 0
    async for chunk in blobs.open("acme/sources/x"):
        actual.update(chunk)
        size += len(chunk)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert info.size_bytes == size == 20 * _MIB + 4
    assert info.sha256 == actual.hexdigest() == expected.hexdigest()
    assert peak < 12 * _MIB


@pytest.mark.parametrize("size", [0, 1, 128 * 1024, 128 * 1024 + 1])
async def test_sizes_around_a_chunk(bus: Bus, size: int) -> None:
    blobs = Blobs(bus)
    content = os.urandom(size)
    info = await blobs.put("x", _pieces(content, 7000))
    assert info.size_bytes == size
    assert await _read(blobs, "x") == content
    assert await blobs.info("x") == info


async def test_replaced_in_one_step(bus: Bus) -> None:
    blobs = Blobs(bus, subjects.CHECKPOINTS_BUCKET)
    await blobs.put("state", _pieces(b"old" * 100_000))
    await blobs.put("state", _pieces(b"new"))
    assert await blobs.read("state", max_bytes=10) == b"new"
    stored = await jetstream.direct_many(bus, "OBJ_vulcan_checkpoints", "$O.vulcan_checkpoints.C.>")
    assert [each.data for each in stored] == [b"new"]


async def test_names_list_and_delete(bus: Bus) -> None:
    blobs = Blobs(bus)
    for name in ("acme/artifacts/wl_1/out/ü.png", "acme/artifacts/wl_1/a", "acme/artifacts/wl_2/a", "other/x"):
        await blobs.put(name, _pieces(name.encode()))
    listed = await blobs.list("acme/artifacts/wl_1/")
    assert [info.name for info in listed] == ["acme/artifacts/wl_1/a", "acme/artifacts/wl_1/out/ü.png"]
    await blobs.delete("acme/artifacts/wl_1/a")
    await blobs.delete("acme/artifacts/wl_1/a")
    await blobs.delete("never")
    assert await blobs.info("acme/artifacts/wl_1/a") is None
    assert len(await blobs.list()) == 3
    with pytest.raises(BlobNotFoundError):
        await _read(blobs, "acme/artifacts/wl_1/a")


async def test_too_large_leaves_nothing(bus: Bus) -> None:
    blobs = Blobs(bus)
    with pytest.raises(BlobTooLargeError):
        await blobs.put("x", _pieces(os.urandom(_MIB)), max_bytes=_MIB - 1)
    assert await blobs.info("x") is None
    assert await jetstream.direct_many(bus, "OBJ_vulcan_blobs", "$O.vulcan_blobs.>") == []
    await blobs.put("x", _pieces(b"1234"), max_bytes=4)
    with pytest.raises(BlobTooLargeError):
        await blobs.read("x", max_bytes=3)


async def test_a_source_that_fails_leaves_what_was_there(bus: Bus) -> None:
    blobs = Blobs(bus)
    await blobs.put("x", _pieces(b"before"))

    async def failing() -> AsyncIterator[bytes]:
        yield os.urandom(_MIB)
        raise ConnectionResetError("the upload broke")

    with pytest.raises(ConnectionResetError):
        await blobs.put("x", failing())
    assert await _read(blobs, "x") == b"before"


async def test_missing_and_changed_chunks_are_noticed(bus: Bus) -> None:
    blobs = Blobs(bus)
    await blobs.put("x", _pieces(os.urandom(300_000)))
    stored = await jetstream.direct_many(bus, "OBJ_vulcan_blobs", "$O.vulcan_blobs.C.>")
    await jetstream.call(bus, "STREAM.MSG.DELETE.OBJ_vulcan_blobs", {"seq": stored[1].seq})
    with pytest.raises(BlobCorruptError):
        await _read(blobs, "x")
    await jetstream.publish(bus, stored[0].subject, b"not what was there")
    with pytest.raises(BlobCorruptError):
        await _read(blobs, "x")


async def test_whole_while_the_server_is_killed(nats_server: NatsServer, bus: Bus) -> None:
    blobs = Blobs(bus)
    content = os.urandom(8 * _MIB)
    put = asyncio.create_task(blobs.put("x", _pieces(content)))
    await asyncio.sleep(0.03)
    await nats_server.bounce()
    await put
    reading = asyncio.create_task(_read(blobs, "x"))
    await asyncio.sleep(0.03)
    await nats_server.bounce()
    assert await reading == content
