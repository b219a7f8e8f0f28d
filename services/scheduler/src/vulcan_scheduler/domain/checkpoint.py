"""The form of a checkpoint: the jobs as of one event, so that a start need not fold the whole log.

The bytes are frames, each a length and MessagePack: a header, any number of frames of jobs, a footer. Jobs are taken
while events go on being folded, some frames later than others. That is sound: each job carries its own version, so
when the log is folded again from the header's `seq`, what a job has seen already changes nothing.
"""

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec
from msgspec import Struct

from vulcan_scheduler.domain.job import Job

FORMAT: Final = 1
"""Changes with every change of `Job` that an older checkpoint would be misread by; then the log is folded whole."""

_FRAME_JOBS: Final = 256
_MAX_FRAME_BYTES: Final = 64 * 2**20
_LENGTH_BYTES: Final = 4


class CheckpointError(Exception):
    """The bytes are no checkpoint that this release can take over; the message says why."""


class Header(Struct, frozen=True, kw_only=True):
    """The first frame. `seq`: every event up to it is in the jobs."""

    format: int
    seq: int


class Footer(Struct, frozen=True, kw_only=True):
    """The last frame: nothing is missing before it."""

    count: int


_encoder = msgspec.msgpack.Encoder()
_header = msgspec.msgpack.Decoder(Header)
_jobs = msgspec.msgpack.Decoder(list[Job])
_footer = msgspec.msgpack.Decoder(Footer)


def frames(seq: int, jobs: Iterable[Job]) -> Iterator[bytes]:
    """The checkpoint, a piece at a time; `jobs` may change between the pieces."""
    yield _framed(_encoder.encode(Header(format=FORMAT, seq=seq)))
    count = 0
    batch: list[Job] = []
    for job in jobs:
        batch.append(job)
        count += 1
        if len(batch) == _FRAME_JOBS:
            yield _framed(_encoder.encode(batch))
            batch = []
    if batch:
        yield _framed(_encoder.encode(batch))
    yield _framed(_encoder.encode(Footer(count=count)))


class Reader:
    """Takes a checkpoint's bytes in any pieces; `seq` and `jobs` are complete once `finish` has returned."""

    def __init__(self) -> None:
        self.seq = 0
        self.jobs: list[Job] = []
        self._buffer = bytearray()
        self._held: bytes | None = None
        self._started = False

    def feed(self, piece: bytes) -> None:
        """Take the next piece.

        Raises:
            CheckpointError: it cannot be the next piece of one.
        """
        self._buffer += piece
        while (frame := self._next_frame()) is not None:
            # The last frame is the footer, and only the end tells which frame was the last: read one behind.
            if self._held is not None:
                self._take(self._held)
            self._held = frame

    def finish(self) -> None:
        """Check that all of it was there.

        Raises:
            CheckpointError: something is missing.
        """
        if self._buffer or self._held is None or not self._started:
            raise CheckpointError("the checkpoint is cut off")
        try:
            footer = _footer.decode(self._held)
        except msgspec.DecodeError as error:
            raise CheckpointError(f"the checkpoint has no end: {error}") from None
        if footer.count != len(self.jobs):
            raise CheckpointError(f"the checkpoint holds {len(self.jobs)} jobs and says {footer.count}")

    def _next_frame(self) -> bytes | None:
        if len(self._buffer) < _LENGTH_BYTES:
            return None
        length = int.from_bytes(self._buffer[:_LENGTH_BYTES])
        if length > _MAX_FRAME_BYTES:
            raise CheckpointError(f"the checkpoint has a frame of {length} bytes")
        if len(self._buffer) < _LENGTH_BYTES + length:
            return None
        frame = bytes(self._buffer[_LENGTH_BYTES : _LENGTH_BYTES + length])
        del self._buffer[: _LENGTH_BYTES + length]
        return frame

    def _take(self, frame: bytes) -> None:
        try:
            if self._started:
                self.jobs += _jobs.decode(frame)
                return
            header = _header.decode(frame)
        except msgspec.DecodeError as error:
            raise CheckpointError(f"the checkpoint cannot be read: {error}") from None
        if header.format != FORMAT:
            raise CheckpointError(f"the checkpoint has format {header.format}; this release reads {FORMAT}")
        self.seq, self._started = header.seq, True


def _framed(payload: bytes) -> bytes:
    return len(payload).to_bytes(_LENGTH_BYTES) + payload
