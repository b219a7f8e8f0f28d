"""One run's way to its log: lines from bytes, the output limit, and what to do when the log is taken or away.

Code may print before the run has a log to write to: that is held, and beyond a bound the code is made to wait.
"""

import asyncio
import itertools
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from vulcan_contracts.logs import Stream
from vulcan_contracts.reasons import Reason
from vulcan_eventstore.errors import EventStoreError
from vulcan_sandbox.ending import Cut, bounded_text
from vulcan_sandbox.output import LineSplitter, Piece
from vulcan_sandbox.protocol import OutputStream

_MIB: Final = 1_048_576
_MAX_SAID: Final = 256
_LOOK_S: Final = 1.0
_SLICE_BYTES: Final = 65_536
_HELD_BYTES: Final = 65_536
"""Of output, before there is a log to write to; then the code waits."""
_AT_ONCE: Final = 1000
"""Lines in one write."""
_LINE_BYTES: Final = 64
"""What a line counts at least towards the output limit: about what it costs to store, however short it is."""


class LineWriter(Protocol):
    """What a run needs of a `LogWriter`."""

    @property
    def error(self) -> Exception | None:
        """Why nothing more is written; None while all is well."""
        ...

    async def write_many(self, stream: Stream, lines: Sequence[Piece]) -> int:
        """Add lines, all of them or none; waits while too much is on its way."""
        ...

    async def close(self) -> int:
        """Wait until every line is acknowledged; returns the number of the last one."""
        ...

    async def abandon(self) -> None:
        """Stop at once. Safe to repeat, and after `close`."""
        ...


class RunLog:
    """The output sink of one run. Never raises into a backend: what goes wrong is told to `on_cut` and `on_broken`."""

    def __init__(
        self,
        *,
        output_mb: int,
        max_line_bytes: int,
        stall_s: float,
        on_cut: Callable[[Cut], None],
        on_broken: Callable[[EventStoreError], None],
    ) -> None:
        self._limit_bytes = output_mb * _MIB
        self._output_mb = output_mb
        self._stall_s = stall_s
        self._max_line_bytes = max_line_bytes
        self._on_cut = on_cut
        self._on_broken = on_broken
        self._writer: LineWriter | None = None
        self._splitters: dict[OutputStream, LineSplitter] = {
            "stdout": LineSplitter(max_line_bytes),
            "stderr": LineSplitter(max_line_bytes),
        }
        # What is not yet written, so that a call that is cancelled while it waits loses and doubles nothing.
        self._pending: deque[tuple[OutputStream, list[Piece]]] = deque()
        self._held_bytes = 0
        self._let_go = asyncio.Event()
        self._said: deque[str] = deque(maxlen=_MAX_SAID)
        self._something_said = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()
        self._swallowing = False
        self._counted_bytes = 0
        self.output_bytes = 0
        self.first_output_at: float | None = None
        """Of the monotonic clock."""
        self._stalled_s = 0.0
        self._writing_since: float | None = None
        self.broken: EventStoreError | None = None

    @property
    def attached(self) -> bool:
        """True once there is a log to write to."""
        return self._writer is not None

    @property
    def stalled_s(self) -> float:
        """How long the run was held up because the log took nothing, until now."""
        if self._writing_since is None:
            return self._stalled_s
        waited = time.monotonic() - self._writing_since
        return self._stalled_s + (waited if waited > self._stall_s else 0.0)

    async def attach(self, writer: LineWriter) -> None:
        """Give it the log to write to; what was said before comes first, then what was printed before."""
        self._writer = writer
        self._let_go.set()
        async with self._one_at_a_time:
            await self._write_said()
            await self._write_pending()

    def say(self, text: str) -> None:
        """Write a `system` line, soon. Of very many at once, the oldest are lost."""
        self._said.extend(bounded_text(line, self._max_line_bytes) for line in text.splitlines())
        self._something_said.set()

    async def keep_up(self) -> None:
        """Write what was said, and notice when the log fails although nothing is printed, until cancelled."""
        while True:
            try:
                async with asyncio.timeout(_LOOK_S):
                    await self._something_said.wait()
            except TimeoutError:
                pass
            self._something_said.clear()
            if self._writer is None or self.broken is not None:
                continue
            if self._said:
                async with self._one_at_a_time:
                    await self._write_said()
            elif isinstance(self._writer.error, EventStoreError):
                self._break(self._writer.error)

    async def __call__(self, stream: OutputStream, data: bytes) -> None:
        """Take what the code printed."""
        if not data:
            return
        if self.first_output_at is None:
            self.first_output_at = time.monotonic()
        async with self._one_at_a_time:
            if self._swallowing:
                return
            room = self._limit_bytes - self._counted_bytes
            self.output_bytes += min(len(data), room)
            self._writing_since = time.monotonic()
            if len(data) > room:
                self._cut_off("")
            try:
                await self._write_said()
                for start in range(0, min(len(data), room), _SLICE_BYTES):
                    part = data[start : min(start + _SLICE_BYTES, room)]
                    self._counted_bytes += len(part)
                    self._keep(stream, self._affordable(self._splitters[stream].feed(part)))
                    if self._writer is None:
                        self._held_bytes += len(part)
                    await self._write_pending()
                    if self._counted_bytes > self._limit_bytes:
                        return
            finally:
                self._stalled_s, self._writing_since = self.stalled_s, None

    def _affordable(self, pieces: list[Piece]) -> list[Piece]:
        """Those for which there is room, if each line counts at least `_LINE_BYTES`."""
        room = self._limit_bytes - self._counted_bytes
        sizes = [len(text) if text.isascii() else len(text.encode()) for text, _ in pieces]
        self._counted_bytes += sum([_LINE_BYTES - 1 - size for size in sizes if size < _LINE_BYTES - 1])
        if self._counted_bytes <= self._limit_bytes:
            return pieces
        if not self._swallowing:
            self._cut_off(f", of which a line takes at least {_LINE_BYTES} bytes")
        spent = itertools.accumulate(max(0, _LINE_BYTES - 1 - size) for size in sizes)
        return pieces[: sum(1 for _ in itertools.takewhile(lambda so_far: so_far <= room, spent))]

    def _cut_off(self, how: str) -> None:
        self._swallowing = True
        self._on_cut(Cut(Reason.OUTPUT_LIMIT, f"Printed more than its limit of {self._output_mb} MiB{how}."))

    def swallow(self) -> None:
        """Take everything from now on, and keep none of it."""
        self._swallowing = True
        self._let_go.set()

    async def finish(self) -> int:
        """Write what is left, wait for all of it to be acknowledged, and return the last line's number.

        Raises:
            EventStoreError: the log is taken by another writer, or away.
        """
        async with self._one_at_a_time:
            self._swallowing = True
            if self.broken is not None:
                raise self.broken
            if self._writer is None:
                return 0
            for stream, splitter in self._splitters.items():
                self._keep(stream, list(splitter.finish()))
            await self._write_pending()
            await self._write_said()
            if self.broken is not None:
                raise self.broken
            return await self._writer.close()

    async def abandon(self) -> None:
        """Stop writing, whatever is left. Safe to repeat, and after `finish`."""
        self.swallow()
        if self._writer is not None:
            await self._writer.abandon()

    def _keep(self, stream: OutputStream, pieces: list[Piece]) -> None:
        for start in range(0, len(pieces), _AT_ONCE):
            self._pending.append((stream, pieces[start : start + _AT_ONCE]))

    async def _write_pending(self) -> None:
        if self._writer is None:
            if self._held_bytes < _HELD_BYTES:
                return
            await self._let_go.wait()
            await self._write_said()
        if self._writer is None:
            return
        try:
            while self._pending and self.broken is None:
                await self._writer.write_many(*self._pending[0])
                self._pending.popleft()
        except EventStoreError as error:
            self._break(error)

    async def _write_said(self) -> None:
        if self._writer is None or self.broken is not None:
            return
        try:
            while self._said:
                await self._writer.write_many("system", [(self._said[0], False)])
                self._said.popleft()
        except EventStoreError as error:
            self._break(error)

    def _break(self, error: EventStoreError) -> None:
        self._swallowing = True
        self.broken = error
        self._on_broken(error)
