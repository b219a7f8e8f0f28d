"""Log lines: what a workload printed, and what the platform says beside it (`system`).

Lines are numbered 1, 2, 3 ... per workload, across its attempts. They travel in batches, one message each, under
`log.<tenant>.<id>`; a batch is fenced on its subject, so that an executor that was declared lost cannot write on.
"""

from datetime import datetime
from typing import Literal

import msgspec
from msgspec import Struct

Stream = Literal["stdout", "stderr", "system"]


class LogLine(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line without its line end. `partial` marks a piece of a line that was longer than the limit, or the
    end of the output where no line end came."""

    seq: int
    time: datetime
    stream: Stream
    text: str
    partial: bool = False


class LogBatch(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Consecutive lines of one attempt, never empty."""

    workload_id: str
    tenant: str
    attempt: int
    lines: list[LogLine]

    @property
    def first(self) -> int:
        """The sequence number of the first line."""
        return self.lines[0].seq

    @property
    def last(self) -> int:
        """The sequence number of the last line."""
        return self.lines[-1].seq


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(LogBatch)


def encode_batch(batch: LogBatch) -> bytes:
    """The bytes that are stored (MessagePack)."""
    return _encoder.encode(batch)


def decode_batch(payload: bytes) -> LogBatch:
    """The batch from stored bytes.

    Raises:
        msgspec.DecodeError: these bytes are not a batch.
    """
    return _decoder.decode(payload)


def clean_text(raw: bytes) -> str:
    """Output bytes as text that every store accepts: invalid UTF-8 and NUL become U+FFFD."""
    return raw.decode("utf-8", "replace").replace("\x00", "\ufffd")
