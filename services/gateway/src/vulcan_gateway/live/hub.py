"""What this gateway hears live, handed to its own readers: one subscription however many they are.

Both streams republish every message they store, so the numbers heard here have no gaps. A gap, like a reconnect, means
that something may be lost: every reader is told and reads history, which is exact.
"""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Final

from vulcan_contracts.events import Recorded
from vulcan_contracts.logs import LogBatch, LogLine
from vulcan_contracts.views import EventView
from vulcan_gateway.domain import sse
from vulcan_gateway.domain.views import event_view
from vulcan_gateway.live.feed import Feed

LINE_EVENT: Final = "line"
_OVERHEAD_BYTES: Final = 200
"""About what a line or an event takes in memory beside its text."""


def line_frames(lines: list[LogLine]) -> bytes:
    """Log lines as server-sent events."""
    return b"".join([sse.frame(LINE_EVENT, line, line.seq) for line in lines])


class LiveLines:
    """A batch of lines. Its frames are made once, by the first reader that wants all of them."""

    def __init__(self, batch: LogBatch) -> None:
        self.lines = batch.lines
        self.size_bytes = sum(len(line.text) + _OVERHEAD_BYTES for line in batch.lines)

    @cached_property
    def frames(self) -> bytes:
        """All lines as server-sent events."""
        return line_frames(self.lines)


class LiveEvent:
    """An event. Its frame is made once."""

    def __init__(self, recorded: Recorded) -> None:
        self.recorded = recorded
        self.size_bytes = memoryview(recorded.envelope.data).nbytes + _OVERHEAD_BYTES

    @cached_property
    def view(self) -> EventView:
        """The event as the API shows it."""
        return event_view(self.recorded)

    @cached_property
    def frame(self) -> bytes:
        """The event as a server-sent event."""
        return event_frame(self.view)


def event_frame(view: EventView) -> bytes:
    """An event as a server-sent event, named by its type, numbered by its place in the log."""
    return sse.frame(view.type, view, view.seq)


Heard = LiveLines | LiveEvent
Key = tuple[str, str]
"""Tenant and workload id; for a whole tenant's events the id is empty."""


class Hub:
    """Readers by what they read. All methods run on the event loop and none waits."""

    def __init__(self, *, buffer_bytes: int) -> None:
        self._buffer_bytes = buffer_bytes
        self._lines: dict[Key, set[Feed[Heard]]] = defaultdict(set)
        self._events: dict[Key, set[Feed[Heard]]] = defaultdict(set)
        self._last_event = 0
        self._last_batch = 0
        self._closed = False
        self.resyncs = 0

    @property
    def readers(self) -> int:
        """How many feeds are open."""
        return len({feed for index in (self._lines, self._events) for feeds in index.values() for feed in feeds})

    @contextmanager
    def follow_workload(self, tenant: str, workload_id: str, *, lines: bool) -> Iterator[Feed[Heard]]:
        """The events of one workload, and its log lines too if `lines`, from now on."""
        indexes = [self._events, self._lines] if lines else [self._events]
        with self._register(indexes, (tenant, workload_id)) as feed:
            yield feed

    @contextmanager
    def follow_tenant(self, tenant: str) -> Iterator[Feed[Heard]]:
        """All events of one tenant, from now on."""
        with self._register([self._events], (tenant, "")) as feed:
            yield feed

    @contextmanager
    def _register(self, indexes: list[dict[Key, set[Feed[Heard]]]], key: Key) -> Iterator[Feed[Heard]]:
        feed: Feed[Heard] = Feed(self._buffer_bytes)
        if self._closed:
            feed.close()
        for index in indexes:
            index[key].add(feed)
        try:
            yield feed
        finally:
            for index in indexes:
                index[key].discard(feed)
                if not index[key]:
                    del index[key]

    def hear_event(self, recorded: Recorded) -> None:
        """An event, as the log stored it."""
        if 0 < self._last_event < recorded.seq - 1:
            self._resync(self._events)
        self._last_event = max(self._last_event, recorded.seq)
        envelope = recorded.envelope
        feeds = self._events.get((envelope.tenant, envelope.workload_id), set()) | self._events.get(
            (envelope.tenant, ""), set()
        )
        if feeds:
            heard = LiveEvent(recorded)
            for feed in feeds:
                feed.offer(heard, heard.size_bytes)

    def hear_lines(self, seq: int, batch: LogBatch) -> None:
        """A batch of lines, stored as message `seq` of the log stream."""
        if 0 < self._last_batch < seq - 1:
            self._resync(self._lines)
        self._last_batch = max(self._last_batch, seq)
        feeds = self._lines.get((batch.tenant, batch.workload_id))
        if feeds:
            heard = LiveLines(batch)
            for feed in feeds:
                feed.offer(heard, heard.size_bytes)

    def resync(self) -> None:
        """The connection was lost for a moment: nobody knows what was not heard."""
        self._resync(self._events)
        self._resync(self._lines)

    def _resync(self, index: dict[Key, set[Feed[Heard]]]) -> None:
        self.resyncs += 1
        for feeds in index.values():
            for feed in feeds:
                feed.miss()

    def close(self) -> None:
        """Let every reader end: their clients come back to another gateway, or to the next life of this one."""
        self._closed = True
        for index in (self._events, self._lines):
            for feeds in list(index.values()):
                for feed in feeds:
                    feed.close()
