"""Writes the log lines of one attempt: numbered, batched, each batch fenced on the one before.

One batch is under way at a time. The server takes it only if the workload's log still ends where this writer left it,
so a second writer (the next attempt, or the seal of a lost one) ends the first. A batch whose outcome is unknown is
looked up before it is sent again.
"""

import asyncio
import math
import time
from collections.abc import Sequence
from typing import Annotated, Final, Self

from msgspec import Meta, Struct

from vulcan_contracts.clock import utc_now
from vulcan_contracts.logs import LogLine, Stream
from vulcan_eventstore.backoff import patiently, within
from vulcan_eventstore.connection import Bus
from vulcan_eventstore.errors import EventStoreError, LogFencedError
from vulcan_eventstore.log_tail import LogEnd, LogTail, find_end

_LINE_OVERHEAD_BYTES: Final = 64
Count = Annotated[int, Meta(ge=1)]


class LogWriterSettings(Struct, frozen=True, kw_only=True):
    """How lines become batches.

    linger_ms: the least time from one batch that is not full to the next; the first goes at once.
    patience_s: how long NATS may be away before the log is given up.
    """

    linger_ms: Annotated[float, Meta(ge=0)] = 20.0
    max_batch_bytes: Count = 128 * 1024
    max_batch_lines: Count = 2000
    max_buffered_bytes: Count = 1024 * 1024
    patience_s: Annotated[float, Meta(gt=0)] = 60.0


class LogWriter:
    """The one writer of an attempt's log. Open it after `started` is on the event log: the attempt is yours then."""

    def __init__(
        self, bus: Bus, *, tenant: str, workload_id: str, attempt: int, settings: LogWriterSettings, end: LogEnd
    ) -> None:
        self._tail = LogTail(bus, tenant=tenant, workload_id=workload_id, attempt=attempt, end=end)
        self._settings = settings
        self._next_line = end.line + 1
        self._buffer: list[LogLine] = []
        self._sizes: list[int] = []
        self._buffered_bytes = 0
        self._filled = asyncio.Event()
        self._batch_ready = asyncio.Event()
        self._drained = asyncio.Event()
        self._drained.set()
        self._closing = False
        self._sent_at = -math.inf
        self._error: Exception | None = None
        self._abandoned = False
        self._name = f"log writer {workload_id}"
        self._sender: asyncio.Task[None] | None = None  # not before the first line: many runs print none

    @classmethod
    async def open(
        cls,
        bus: Bus,
        *,
        tenant: str,
        workload_id: str,
        attempt: int,
        settings: LogWriterSettings | None = None,
    ) -> Self:
        """Take up the log where the attempt before left it.

        Raises:
            LogFencedError: somebody wrote under this attempt, or a later one, already.
            EventStoreUnavailableError: NATS is away for longer than `patience_s`.
        """
        settings = settings or LogWriterSettings()
        end = LogEnd()
        if attempt > 1:
            end = await within(settings.patience_s, patiently(bus, "log", lambda: find_end(bus, tenant, workload_id)))
            if end.attempt >= attempt:
                raise LogFencedError(f"{workload_id}: attempt {end.attempt} has written already")
        return cls(bus, tenant=tenant, workload_id=workload_id, attempt=attempt, settings=settings, end=end)

    @property
    def last_line(self) -> int:
        """The number of the last line given to `write`."""
        return self._next_line - 1

    @property
    def error(self) -> Exception | None:
        """Why nothing more is written: a `LogFencedError` or `EventStoreUnavailableError`; None while all is well."""
        return self._error

    async def write(self, stream: Stream, text: str, partial: bool = False) -> int:
        """Take one line; its number. Otherwise as `write_many`."""
        return await self.write_many(stream, [(text, partial)])

    async def write_many(self, stream: Stream, lines: Sequence[tuple[str, bool]]) -> int:
        """Take lines, all of them or none: clean text (`contracts.logs.clean_text`), and whether it is partial.

        Waits while too much is buffered, and then takes all of them, room or not.

        Returns:
            the number of the last one.

        Raises:
            LogFencedError: another writer took over.
            EventStoreUnavailableError: NATS is away for longer than `patience_s`.
        """
        while not self._drained.is_set() and self._error is None:
            await self._drained.wait()
        if self._error is not None:
            raise self._error
        if self._closing:
            raise RuntimeError("the log writer is closed")
        if not lines:
            return self.last_line
        now = utc_now()
        first, self._next_line = self._next_line, self._next_line + len(lines)
        self._buffer += [
            LogLine(seq=seq, time=now, stream=stream, text=text, partial=partial)
            for seq, (text, partial) in enumerate(lines, first)
        ]
        sizes = [_LINE_OVERHEAD_BYTES + (len(text) if text.isascii() else len(text.encode())) for text, _ in lines]
        self._sizes += sizes
        self._buffered_bytes += sum(sizes)
        self._filled.set()
        if self._sender is None and not self._abandoned:
            self._sender = asyncio.create_task(self._send_all(), name=self._name)
        if self._full:
            self._batch_ready.set()
        if self._buffered_bytes >= self._settings.max_buffered_bytes:
            self._drained.clear()
        return self.last_line

    async def close(self) -> int:
        """Send what is left and return the number of the last line, once all of them are stored. Safe to repeat.

        Raises:
            LogFencedError: another writer took over.
            EventStoreUnavailableError: NATS is away for longer than `patience_s`.
        """
        self._closing = True
        self._filled.set()
        self._batch_ready.set()
        if self._sender is not None:
            await asyncio.shield(self._sender)
        if self._error is not None:
            raise self._error
        return self.last_line

    async def abandon(self) -> None:
        """Stop at once, whatever is left unsent. Safe to repeat, and after `close`."""
        self._abandoned = True
        if self._sender is not None:
            self._sender.cancel()
            await asyncio.wait([self._sender])

    @property
    def _full(self) -> bool:
        return (
            self._buffered_bytes >= self._settings.max_batch_bytes
            or len(self._buffer) >= self._settings.max_batch_lines
        )

    async def _send_all(self) -> None:
        try:
            while True:
                await self._filled.wait()
                if not self._buffer:
                    return  # closing
                await self._linger()
                self._sent_at = time.monotonic()
                await within(self._settings.patience_s, self._tail.append(self._take()))
        except EventStoreError as error:
            self._error = error
        finally:
            self._drained.set()

    async def _linger(self) -> None:
        left_s = self._sent_at + self._settings.linger_ms / 1000 - time.monotonic()
        if self._closing or self._full or left_s <= 0:
            return
        self._batch_ready.clear()
        try:
            async with asyncio.timeout(left_s):
                await self._batch_ready.wait()
        except TimeoutError:
            return

    def _take(self) -> list[LogLine]:
        """The next batch out of the buffer: as many lines as fit, at least one."""
        count, size = 0, 0
        for line_size in self._sizes[: self._settings.max_batch_lines]:
            if count and size + line_size > self._settings.max_batch_bytes:
                break
            count, size = count + 1, size + line_size
        lines, self._buffer = self._buffer[:count], self._buffer[count:]
        del self._sizes[:count]
        self._buffered_bytes -= size
        if self._buffered_bytes < self._settings.max_buffered_bytes:
            self._drained.set()
        if not self._buffer and not self._closing:
            self._filled.clear()
        return lines
