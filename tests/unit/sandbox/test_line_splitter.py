from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vulcan_contracts.logs import clean_text
from vulcan_sandbox.output import MIN_LINE_BYTES, LineSplitter, Piece

_NOISY = st.lists(
    st.one_of(
        st.binary(max_size=40),
        st.text(max_size=20).map(lambda text: text.encode("utf-8", "surrogatepass")),
        st.sampled_from([b"\n", b"\r\n", b"\r", b"\x00", b"\xff", "✓".encode(), "🎉".encode(), b"a" * 15, b"a" * 16]),
    ),
    max_size=30,
).map(b"".join)


def split(data: bytes, cuts: list[int], limit: int) -> list[Piece]:
    splitter = LineSplitter(limit)
    pieces: list[Piece] = []
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    for start, stop in pairwise(edges):
        pieces += splitter.feed(data[start:stop])
    return [*pieces, *splitter.finish()]


@given(data=_NOISY, cuts=st.lists(st.integers(min_value=0), max_size=20), limit=st.integers(MIN_LINE_BYTES, 64))
def test_chunking_never_shows(data: bytes, cuts: list[int], limit: int) -> None:
    assert split(data, cuts, limit) == split(data, [], limit)


@given(data=_NOISY)
def test_byte_by_byte_is_the_same(data: bytes) -> None:
    assert split(data, list(range(len(data))), 16) == split(data, [], 16)


@given(data=_NOISY, limit=st.integers(MIN_LINE_BYTES, 64))
def test_pieces_together_are_the_output(data: bytes, limit: int) -> None:
    pieces = split(data, [], limit)
    together = "".join(text + ("" if partial else "\n") for text, partial in pieces)
    assert together == clean_text(data.replace(b"\r\n", b"\n"))


@given(data=_NOISY, limit=st.integers(MIN_LINE_BYTES, 64))
def test_no_piece_is_longer_than_the_limit(data: bytes, limit: int) -> None:
    for text, _ in split(data, [], limit):
        # A byte that is not UTF-8 becomes a replacement character of three.
        assert len(text.encode()) - 2 * text.count("\ufffd") <= limit


@given(data=_NOISY)
def test_memory_is_bounded(data: bytes) -> None:
    splitter = LineSplitter(16)
    for at in range(0, len(data), 7):
        splitter.feed(data[at : at + 7])
        assert len(splitter._buffer) <= 16 + 7


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", []),
        (b"a\nb\n", [("a", False), ("b", False)]),
        (b"a\nb", [("a", False), ("b", True)]),
        (b"a\r\nb\r\n", [("a", False), ("b", False)]),
        (b"\n\r\n", [("", False), ("", False)]),
        (b"progress 1\rprogress 2\n", [("progress 1\rprogr", True), ("ess 2", False)]),
        (b"a\r", [("a\r", True)]),
        (b"x" * 16 + b"\n", [("x" * 16, False)]),
        (b"x" * 16 + b"\r\n", [("x" * 16, False)]),
        (b"x" * 17 + b"\n", [("x" * 16, True), ("x", False)]),
        (b"x" * 16, [("x" * 16, True)]),
        ("✓".encode() * 6 + b"\n", [("✓" * 5, True), ("✓", False)]),
        (b"\xe2\x9c", [("\ufffd", True)]),
        (b"\x00\xff\n", [("\ufffd\ufffd", False)]),
        (b"\x80" * 20 + b"\n", [("\ufffd" * 16, True), ("\ufffd" * 4, False)]),
    ],
)
def test_cases(data: bytes, expected: list[Piece]) -> None:
    assert split(data, [], 16) == expected


def test_a_character_split_over_chunks_stays_whole() -> None:
    splitter = LineSplitter(64)
    whole = "🎉\n".encode()
    assert [splitter.feed(bytes([byte])) for byte in whole] == [[], [], [], [], [("🎉", False)]]


def test_a_silly_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot hold"):
        LineSplitter(3)
