"""Server-sent events: bytes in, messages out, whatever the chunks they come in.

https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
"""

import re
from typing import Final

from msgspec import Struct

MEDIA_TYPE: Final = "text/event-stream"
_LINE_END: Final = re.compile(rb"\r\n|\n|\r")


class Message(Struct, frozen=True):
    """One dispatched message. `id` is the last id seen in the stream, also when this message brought none."""

    event: str
    data: str
    id: str


class SseParser:
    """Feed it chunks; it gives the messages that they complete. Holds at most `max_message_bytes` of one message."""

    def __init__(self, *, max_message_bytes: int = 16 * 1024 * 1024) -> None:
        self._max = max_message_bytes
        self._rest = bytearray()
        self._start = True
        self._event = ""
        self._data: list[str] = []
        self._size = 0
        self._id = ""

    def feed(self, chunk: bytes) -> list[Message]:
        """Take the next bytes of the stream.

        Raises:
            ValueError: a message is larger than the limit.
        """
        # A line end is looked for only in what is new; a CR at the very end waits, it may be half of a CRLF.
        search_from = max(0, len(self._rest) - 1)
        self._rest += chunk
        found: list[Message] = []
        position = 0
        for match in _LINE_END.finditer(self._rest, search_from):
            if match.group() == b"\r" and match.end() == len(self._rest):
                break
            line = bytes(self._rest[position : match.start()])
            position = match.end()
            message = self._line(line)
            if message is not None:
                found.append(message)
        del self._rest[:position]
        if len(self._rest) + self._size > self._max:
            raise ValueError(f"a message of the event stream is larger than {self._max} bytes")
        return found

    def _line(self, raw: bytes) -> Message | None:
        if self._start:
            self._start = False
            raw = raw.removeprefix(b"\xef\xbb\xbf")
        if not raw:
            return self._dispatch()
        name, _, value = raw.decode("utf-8", "replace").partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
            self._size += len(raw)
        elif name == "event":
            self._event = value
        elif name == "id" and "\x00" not in value:
            self._id = value
        return None

    def _dispatch(self) -> Message | None:
        message = Message(self._event or "message", "\n".join(self._data), self._id) if self._data else None
        self._event = ""
        self._data = []
        self._size = 0
        return message
