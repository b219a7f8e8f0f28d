"""What comes over the control socket from a host whose program does what it can."""

import asyncio
import os
import struct
from pathlib import Path

import pytest

from vulcan_executor_v8.artifacts import ArtifactLimitError, Spool
from vulcan_executor_v8.host.channel import Channel, ChannelBrokenError, Frame


def channel(data: bytes) -> Channel:
    """A channel on which this arrives, and then the end."""
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    return Channel(reader, None, 1 << 20)  # type: ignore[arg-type]  # nothing is sent


def framed(body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + body


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"\xff", b'{"type":1}', b'{"type":"end","x":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
     b'{"type":"artifact","size":-1}'],
)  # fmt: skip
async def test_what_is_no_frame_breaks_the_channel_and_nothing_else(body: bytes) -> None:
    with pytest.raises(ChannelBrokenError):
        await channel(framed(body)).receive()


@pytest.mark.parametrize("nonce", ["", "é", "\ud800", "secre", "secret "])
def test_a_frame_with_another_nonce_is_no_answer(nonce: str) -> None:
    assert not Frame(type="end", nonce=nonce).answers("secret")
    assert Frame(type="end", nonce="secret").answers("secret")


async def _take(spool: Spool, name: str, content: bytes) -> None:
    await spool.take(Frame(type="artifact", name=name, size=len(content)), channel(content))


async def test_many_artifacts_need_one_descriptor(tmp_path: Path) -> None:
    spool = Spool(str(tmp_path), max_bytes=1 << 20, max_count=4096)
    await _take(spool, "first", b"")
    before = _next_descriptor()
    for number in range(500):
        await _take(spool, f"{number}.txt", b"%d" % number)
    assert _next_descriptor() == before
    (kept,) = spool.matching(["199.txt"])
    assert [part async for part in kept.chunks()] == [b"199"]
    spool.close()
    assert list(tmp_path.iterdir()) == []  # noqa: ASYNC240


def _next_descriptor() -> int:
    descriptor = os.open(os.devnull, os.O_RDONLY)
    os.close(descriptor)
    return descriptor


async def test_the_later_content_of_a_name_counts_and_both_use_up_the_limit(tmp_path: Path) -> None:
    spool = Spool(str(tmp_path), max_bytes=10, max_count=9)
    await _take(spool, "a", b"first")
    await _take(spool, "a", b"later")
    (kept,) = spool.matching(["*"])
    assert [part async for part in kept.chunks()] == [b"later"]
    with pytest.raises(ArtifactLimitError, match="larger than"):
        await _take(spool, "b", b"1")
    spool.close()


async def test_a_flood_of_one_empty_artifact_has_an_end(tmp_path: Path) -> None:
    spool = Spool(str(tmp_path), max_bytes=10, max_count=50)
    for _ in range(50):
        await _take(spool, "a", b"")
    with pytest.raises(ArtifactLimitError, match="more than 50"):
        await _take(spool, "a", b"")
    spool.close()


@pytest.mark.parametrize("name", ["../x", "/x", "a/../b", "", "a\nb", "x" * 300])
async def test_a_name_that_leads_elsewhere_is_dropped(tmp_path: Path, name: str) -> None:
    spool = Spool(str(tmp_path), max_bytes=10, max_count=50)
    await _take(spool, name, b"x")
    assert spool.matching(["**"]) == []
    spool.close()


async def test_content_that_stops_early_breaks_the_channel(tmp_path: Path) -> None:
    spool = Spool(str(tmp_path), max_bytes=10, max_count=50)
    with pytest.raises(ChannelBrokenError):
        await spool.take(Frame(type="artifact", name="a", size=5), channel(b"abc"))
    assert spool.matching(["**"]) == []
    spool.close()
