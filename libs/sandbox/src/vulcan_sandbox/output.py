"""From the bytes that code prints to the lines that are stored.

How the bytes were cut into chunks on their way never shows in the lines: whatever a pipe, a socket or a virtual
serial port does, the same output gives the same lines.
"""

from collections.abc import Iterator
from typing import Final, TypeAlias

from vulcan_contracts.logs import clean_text

_LF: Final = 0x0A
_CR: Final = 0x0D
_UTF8_CONTINUATIONS: Final = 3
MIN_LINE_BYTES: Final = 16


Piece: TypeAlias = tuple[str, bool]
"""The text of a line and False, or True with a part of one that is longer than the limit or that no line end closed.

A plain tuple: there is one for each line of everything that is printed."""


class LineSplitter:
    """Splits one stream into lines; holds at most one line's limit and a chunk.

    A line ends with LF or CR LF. One longer than `max_line_bytes` comes in pieces, cut between characters; all but
    the last are partial, and together they are the line.
    """

    def __init__(self, max_line_bytes: int) -> None:
        if max_line_bytes < MIN_LINE_BYTES:
            raise ValueError(f"a line limit below {MIN_LINE_BYTES} bytes cannot hold its characters")
        self._max = max_line_bytes
        self._buffer = bytearray()
        self._scanned = 0

    def feed(self, data: bytes) -> list[Piece]:
        """The pieces that are complete with these bytes."""
        end = data.rfind(_LF)
        if end < 0:
            return list(self._feed(data))
        lines = bytes(self._buffer + data[:end]).split(b"\n")
        if max(map(len, lines)) > self._max:
            return list(self._feed(data))
        # None has to be cut, so they are decoded and split all at once: a third of the time. A line end cuts an
        # unfinished character wherever the text around it is decoded.
        text = clean_text(b"\n".join(lines))
        texts = text.split("\n")
        if "\r" in text:
            texts = [line.removesuffix("\r") for line in texts]
        self._buffer = bytearray()
        self._scanned = 0
        return [(line, False) for line in texts] + list(self._feed(data[end + 1 :]))

    def _feed(self, data: bytes) -> Iterator[Piece]:
        buffer = self._buffer
        buffer += data
        start = 0
        while True:
            end = buffer.find(_LF, start + self._scanned)
            if end < 0:
                break
            self._scanned = 0
            stop = end - 1 if end > start and buffer[end - 1] == _CR else end
            while stop - start > self._max:
                cut = self._cut(start)
                yield clean_text(bytes(buffer[start:cut])), True
                start = cut
            yield clean_text(bytes(buffer[start:stop])), False
            start = end + 1
        # Two bytes past the limit decide: one alone could still be the CR of a line that just fits.
        while len(buffer) - start >= self._max + 2:
            cut = self._cut(start)
            yield clean_text(bytes(buffer[start:cut])), True
            start = cut
        del buffer[:start]
        self._scanned = len(buffer)

    def finish(self) -> Iterator[Piece]:
        """What is left where the stream ends without a line end, as partial pieces."""
        rest = self._buffer
        start = 0
        while len(rest) - start > self._max:
            cut = self._cut(start)
            yield clean_text(bytes(rest[start:cut])), True
            start = cut
        if start < len(rest):
            yield clean_text(bytes(rest[start:])), True
        self._buffer = bytearray()
        self._scanned = 0

    def _cut(self, start: int) -> int:
        """Where the piece that begins at `start` ends: at the limit, or before a character that would straddle it."""
        limit = start + self._max
        for at in range(limit, limit - _UTF8_CONTINUATIONS - 1, -1):
            if self._buffer[at] & 0xC0 != 0x80:
                return at
        return limit
