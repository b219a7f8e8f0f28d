"""What this gateway hears live, handed to its own readers: one subscription however many they are.

Both streams republish every message they store, so the numbers heard here have no gaps. A gap, like a reconnect, means
that something may be lost: every reader is told and reads history, which is exact.
"""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from vulcan_contracts.events import Recorded
from vulcan_contracts.logs import LogBatch
from vulcan_gateway.live.fanout import Fanout
from vulcan_gateway.live.feed import Feed
from vulcan_gateway.live.heard import Heard, LiveEvent, LiveLines
from vulcan_gateway.live.line_feed import LineFeed, Outlet

Key = tuple[str, str]
"""Tenant and workload id; for a whole tenant's events the id is empty."""


class Hub:
    """Readers by what they read. All methods run on the event loop and none waits."""

    def __init__(self, *, buffer_bytes: int) -> None:
        self._buffer_bytes = buffer_bytes
        self._lines: dict[Key, Fanout] = {}
        self._events: dict[Key, set[Feed[Heard]]] = defaultdict(set)
        self._last_event = 0
        self._last_batch = 0
        self._closed = False
        self.resyncs = 0

    @property
    def readers(self) -> int:
        """How many feeds are open."""
        return sum(len(feeds) for feeds in self._events.values())

    @contextmanager
    def follow_lines(self, tenant: str, workload_id: str, outlet: Outlet | None = None) -> Iterator[LineFeed]:
        """The log lines of one workload and its events, from now on."""
        key = tenant, workload_id
        feed = LineFeed(self._buffer_bytes, outlet)
        fanout = self._lines.setdefault(key, Fanout(waiting_bytes=self._buffer_bytes))
        fanout.feeds.add(feed)
        try:
            with self._follow_events(key, feed):
                yield feed
        finally:
            fanout.feeds.discard(feed)
            if not fanout.feeds:
                fanout.close()
                del self._lines[key]

    @contextmanager
    def follow_workload(self, tenant: str, workload_id: str) -> Iterator[Feed[Heard]]:
        """The events of one workload, from now on."""
        feed: Feed[Heard] = Feed(self._buffer_bytes)
        with self._follow_events((tenant, workload_id), feed):
            yield feed

    @contextmanager
    def follow_tenant(self, tenant: str) -> Iterator[Feed[Heard]]:
        """All events of one tenant, from now on."""
        feed: Feed[Heard] = Feed(self._buffer_bytes)
        with self._follow_events((tenant, ""), feed):
            yield feed

    @contextmanager
    def _follow_events(self, key: Key, feed: Feed[Heard]) -> Iterator[None]:
        if self._closed:
            feed.close()
        self._events[key].add(feed)
        try:
            yield
        finally:
            self._events[key].discard(feed)
            if not self._events[key]:
                del self._events[key]
            feed.close()

    def hear_event(self, recorded: Recorded) -> None:
        """An event, as the log stored it."""
        if self._last_event == 0:
            self._miss_events_of_tenants()
        elif self._last_event < recorded.seq - 1:
            self._resync_events()
        self._last_event = max(self._last_event, recorded.seq)
        envelope = recorded.envelope
        key = envelope.tenant, envelope.workload_id
        if (fanout := self._lines.get(key)) is not None:
            fanout.flush()  # an end that is heard after all lines need not look for any
        feeds = self._events.get(key, set()) | self._events.get((envelope.tenant, ""), set())
        if feeds:
            heard = LiveEvent(recorded)
            for feed in feeds:
                feed.offer(heard, heard.size_bytes)

    def hear_lines(self, seq: int, batch: LogBatch) -> None:
        """A batch of lines, stored as message `seq` of the log stream."""
        if 0 < self._last_batch < seq - 1:
            self._resync_lines()
        self._last_batch = max(self._last_batch, seq)
        fanout = self._lines.get((batch.tenant, batch.workload_id))
        if fanout is not None and batch.lines:
            fanout.hear(LiveLines(batch.lines))

    def resync(self) -> None:
        """The connection was lost for a moment: nobody knows what was not heard."""
        self._resync_events()
        self._resync_lines()

    def _resync_events(self) -> None:
        self.resyncs += 1
        for feeds in self._events.values():
            for feed in feeds:
                feed.miss()

    def _miss_events_of_tenants(self) -> None:
        """With the first that is heard nobody can know what came before it; who follows one workload can see it."""
        for (_, workload_id), feeds in self._events.items():
            if not workload_id:
                for feed in feeds:
                    feed.miss()

    def _resync_lines(self) -> None:
        self.resyncs += 1
        for fanout in self._lines.values():
            for feed in fanout.feeds:
                feed.miss()

    def close(self) -> None:
        """Let every reader end: their clients come back to another gateway, or to the next life of this one."""
        self._closed = True
        for feeds in self._events.values():
            for feed in feeds:
                feed.close()
