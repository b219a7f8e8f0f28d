"""Rows of `log_lines` as the bytes of a binary COPY, made while Postgres reads those before.

asyncpg can encode rows by itself, one value after the other, which takes four times as long: here the values that many
rows share are encoded once. https://www.postgresql.org/docs/current/sql-copy.html#id-1.9.3.55.9.4
"""

import struct
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Final

from vulcan_logstore.domain.lines import LineRun

COLUMNS: Final = ("expires_on", "tenant", "workload_id", "time", "stream", "partial", "seq", "text")
_HEADER: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER: Final = struct.pack(">h", -1)
_PIECE_BYTES: Final = 128 * 1024
_FIRST_DAY: Final = date(2000, 1, 1)
_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_SHARED: Final = struct.Struct(">hii")
_TIME: Final = struct.Struct(">iq")
_SEQ_AND_LENGTH: Final = struct.Struct(">iqi")


async def encoded(runs: Iterable[LineRun]) -> AsyncIterator[bytes]:
    """The whole COPY, in pieces.

    Raises:
        UnicodeError, struct.error: a value that Postgres cannot hold.
    """
    parts, size = [_HEADER], 0
    pack = _SEQ_AND_LENGTH.pack
    for run in runs:
        shared = _shared(run)
        for seq, text in zip(run.seqs, run.texts, strict=True):
            data = text.encode()
            parts += (shared, pack(8, seq, len(data)), data)
            size += len(data)
        size += len(shared) * len(run.seqs)
        if size >= _PIECE_BYTES:
            yield b"".join(parts)
            parts, size = [], 0
    parts.append(_TRAILER)
    yield b"".join(parts)


def _shared(run: LineRun) -> bytes:
    """The number of columns, and those that every row of the run has alike."""
    return b"".join(
        [
            _SHARED.pack(len(COLUMNS), 4, (run.expires_on - _FIRST_DAY).days),
            _text(run.tenant),
            _text(run.workload_id),
            _TIME.pack(8, (run.time - _EPOCH) // _MICROSECOND),
            _text(run.stream),
            struct.pack(">i?", 1, run.partial),
        ]
    )


def _text(value: str) -> bytes:
    data = value.encode()
    return struct.pack(">i", len(data)) + data
