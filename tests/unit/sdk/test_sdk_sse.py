"""The parser of server-sent events against the standard's rules, however the bytes are cut up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vulcan_sdk.sse import Message, SseParser

NAMES = st.sampled_from(["", "data", "event", "id", "retry", "other", "\ufeffdata"])
VALUES = st.text(alphabet=st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=12)
LINES = st.one_of(
    st.just(""),
    st.builds(lambda name, space, value: f"{name}:{space}{value}", NAMES, st.sampled_from(["", " ", "  "]), VALUES),
    NAMES,
)
STREAMS = st.lists(st.tuples(LINES, st.sampled_from(["\n", "\r\n", "\r"])), max_size=30)


def reference(text: str) -> list[Message]:
    """The standard's algorithm over the whole text, line by line."""
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")[:-1]
    found, data, event, last_id = [], list[str](), "", ""
    for line in lines:
        if not line:
            if data:
                found.append(Message(event or "message", "\n".join(data), last_id))
            data, event = [], ""
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            data.append(value)
        elif name == "event":
            event = value
        elif name == "id" and "\x00" not in value:
            last_id = value
    return found


@given(STREAMS, st.data())
def test_any_chunking_gives_what_the_standard_says(lines: list[tuple[str, str]], data: st.DataObject) -> None:
    # A line end after the last shows that a CR at the very end of the stream was one.
    text = "".join(line + end for line, end in lines) + ":\n"
    raw = text.encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=12)))
    parser = SseParser()
    found = [
        message
        for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True)
        for message in parser.feed(raw[start:end])
    ]
    assert found == reference(text)


@given(st.binary(max_size=200))
def test_any_bytes_are_survived(raw: bytes) -> None:
    SseParser().feed(raw)


def test_an_unfinished_message_is_not_given() -> None:
    parser = SseParser()
    assert parser.feed(b"data: a\n") == []
    assert parser.feed(b"\n") == [Message("message", "a", "")]


def test_a_message_is_bounded() -> None:
    parser = SseParser(max_message_bytes=100)
    parser.feed(b"data: 0123456789\n" * 6)
    with pytest.raises(ValueError, match="larger than 100"):
        parser.feed(b"data: 0123456789\n")
    with pytest.raises(ValueError, match="larger than 100"):
        SseParser(max_message_bytes=100).feed(b"data: " + b"x" * 200)


def test_many_messages_in_one_chunk_are_not_one() -> None:
    assert len(SseParser(max_message_bytes=100).feed(b"data: 0123456789\n\n" * 50)) == 50
