"""Log lines and events as server-sent events: the past first, then live, each once and in order, until the end.

A reader registers with the hub before it reads history, so nothing falls between. Whatever it may have missed it reads
again; what it has already it drops. What decides that is in `domain.stitch`.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Protocol

from msgspec import Meta, Struct

from vulcan_contracts import subjects
from vulcan_contracts.workload import Workload, fold
from vulcan_eventstore.errors import EventStoreUnavailableError
from vulcan_eventstore.event_reader import EventSlice
from vulcan_eventstore.workload_log import EventLog
from vulcan_gateway.domain import sse
from vulcan_gateway.domain.filters import ALL_LINES, LineFilter
from vulcan_gateway.domain.stitch import LineCursor
from vulcan_gateway.domain.views import event_view, last_line, logs_done
from vulcan_gateway.history import LogHistory
from vulcan_gateway.live.heard import LiveEvent, LiveLines, done_frame, event_frame, line_frames
from vulcan_gateway.live.hub import Hub
from vulcan_gateway.live.line_feed import LineFeed, Outlet


class TailSettings(Struct, frozen=True, kw_only=True):
    """How patient a reader of a stream is.

    keep_alive_s: a comment goes out when nothing else did, and what is heard is checked against the log.
    end_patience_s: how long to look for lines that an ended workload's log promises and the stores do not (yet) have.
    """

    keep_alive_s: Annotated[float, Meta(gt=0)] = 10.0
    page_lines: Annotated[int, Meta(ge=1)] = 1000
    retry_s: Annotated[float, Meta(gt=0)] = 0.5
    end_patience_s: Annotated[float, Meta(ge=0)] = 3.0


class EventPages(Protocol):
    """What the event store's `EventReader` is."""

    async def read(self, filter_subject: str, *, after_seq: int, limit: int) -> EventSlice:
        """See `EventReader.read`."""
        ...

    async def newest(self, filter_subject: str) -> int:
        """See `EventReader.newest`."""
        ...


class Tail:
    """Makes the bodies of event streams."""

    def __init__(
        self, hub: Hub, log: EventLog, history: LogHistory, events: EventPages, settings: TailSettings
    ) -> None:
        self._hub = hub
        self._log = log
        self._history = history
        self._events = events
        self._settings = settings

    async def lines(
        self, tenant: str, workload_id: str, after: int, only: LineFilter, outlet: Outlet | None = None
    ) -> AsyncGenerator[bytes, None]:
        """A workload's log lines, and at its end `done`. What is live may go to the `outlet` while this is awaited."""
        with self._hub.follow_lines(tenant, workload_id, outlet if only.everything else None) as feed:
            reader = _LineReader(self._log, self._history, self._settings, tenant, workload_id, after, only)
            async with aclosing(self._read(reader, feed)) as pieces:
                async for piece in pieces:
                    yield piece

    async def lines_of_new(self, tenant: str, workload_id: str, feed: LineFeed) -> AsyncGenerator[bytes, None]:
        """All log lines of a workload that `feed` has followed since before its first event, and at its end `done`."""
        reader = _LineReader(self._log, self._history, self._settings, tenant, workload_id, 0, ALL_LINES)
        reader.stale = False
        async with aclosing(self._read(reader, feed)) as pieces:
            async for piece in pieces:
                yield piece

    async def _read(self, reader: "_LineReader", feed: LineFeed) -> AsyncGenerator[bytes, None]:
        yield sse.OPENING
        while not feed.closed:
            try:
                frames = await reader.catch_up() if reader.stale else await reader.listen(feed)
            except EventStoreUnavailableError:
                reader.stale = True
                await feed.wait(self._settings.retry_s)
                feed.take()
                frames = sse.KEEP_ALIVE
            if frames:
                yield frames
            if reader.done is not None:
                yield reader.done
                return

    async def workload_events(self, tenant: str, workload_id: str, after: int) -> AsyncGenerator[bytes, None]:
        """A workload's events, and at its end `done`."""
        with self._hub.follow_workload(tenant, workload_id) as feed:
            yield sse.OPENING
            position = after
            while not feed.closed:
                try:
                    events = await self._log.history(tenant, workload_id)
                except EventStoreUnavailableError:
                    await feed.wait(self._settings.retry_s)
                    feed.take()
                    yield sse.KEEP_ALIVE
                    continue
                new = [event_frame(event_view(event)) for event in events if event.seq > position]
                if new:
                    position = events[-1].seq
                    yield b"".join(new)
                workload = fold(events)
                if workload is not None and workload.ended:
                    yield _done(workload)
                    return
                # Its events are few: each wake-up reads them again, which needs no stitching.
                if not await feed.wait(self._settings.keep_alive_s):
                    yield sse.KEEP_ALIVE
                feed.take()

    async def tenant_events(self, tenant: str, after: int | None, types: frozenset[str]) -> AsyncGenerator[bytes, None]:
        """All events of a tenant, after one of them or from now on, without an end."""
        with self._hub.follow_tenant(tenant) as feed:
            yield sse.OPENING
            position = after
            stale = after is not None
            while not feed.closed:
                try:
                    if position is None:
                        position = await self._events.newest(wanted_events(tenant, types))
                    while stale:
                        page = await self._events.read(
                            wanted_events(tenant, types), after_seq=position, limit=self._settings.page_lines
                        )
                        behind = page.more and page.position == position
                        position, stale = page.position, page.more
                        wanted = [event_frame(event_view(e)) for e in page.events if _wanted(e.envelope.type, types)]
                        if wanted:
                            yield b"".join(wanted)
                        if behind:
                            await asyncio.sleep(self._settings.retry_s / 5)
                except EventStoreUnavailableError:
                    await asyncio.sleep(self._settings.retry_s)
                    yield sse.KEEP_ALIVE
                    continue
                if not await feed.wait(self._settings.keep_alive_s):
                    stale = True
                    yield sse.KEEP_ALIVE
                taken = feed.take()
                stale = stale or taken.missed
                frames = []
                for heard in taken.items:
                    if isinstance(heard, LiveEvent) and not stale and heard.recorded.seq > position:
                        position = heard.recorded.seq
                        if _wanted(heard.recorded.envelope.type, types):
                            frames.append(heard.frame)
                if frames:
                    yield b"".join(frames)


def wanted_events(tenant: str, types: frozenset[str]) -> str:
    """The subject to read a tenant's events by: the server filters by one type, by several the reader does."""
    return subjects.tenant_events(tenant, *types) if len(types) == 1 else subjects.tenant_events(tenant)


def _wanted(event_type: str, types: frozenset[str]) -> bool:
    return not types or event_type in types


def _done(workload: Workload) -> bytes:
    return done_frame(logs_done(workload))


class _LineReader:
    """One reader's way through a workload's lines."""

    def __init__(
        self,
        log: EventLog,
        history: LogHistory,
        settings: TailSettings,
        tenant: str,
        workload_id: str,
        after: int,
        only: LineFilter,
    ) -> None:
        self._log = log
        self._history = history
        self._settings = settings
        self._tenant = tenant
        self._workload_id = workload_id
        self._only = only
        self._cursor = LineCursor(after)
        self._end: Workload | None = None
        self._patience_until: float | None = None
        self.stale = True
        self.done: bytes | None = None

    async def catch_up(self) -> bytes:
        """The next page of history; the workload's state first, so that an end that it shows comes after its lines."""
        if self._end is None:
            tracked = await self._log.load(self._tenant, self._workload_id)
            if tracked is not None and tracked.state.ended:
                self._end = tracked.state
        page = await self._history.page(
            self._tenant,
            self._workload_id,
            after=self._cursor.position,
            limit=self._settings.page_lines,
            only=self._only,
        )
        new = self._cursor.history(page.lines)
        self._cursor.position = max(self._cursor.position, page.position)
        self.stale = page.more
        if not page.more:
            await self._finish()
        return line_frames(list(new))

    async def _finish(self) -> None:
        """Whether everything was said. Lines that the log promises may take a moment, or have expired."""
        if self._end is None:
            return
        missing = self._cursor.position < (last_line(self._end) or 0)
        now = asyncio.get_running_loop().time()
        if self._patience_until is None:
            self._patience_until = now + self._settings.end_patience_s
        if not missing or now >= self._patience_until:
            self.done = _done(self._end)
            return
        self.stale = True
        await asyncio.sleep(min(self._settings.retry_s, self._settings.end_patience_s) / 5)

    async def listen(self, feed: LineFeed) -> bytes:
        """What is heard next, as far as it follows on what was read; else `stale` is set."""
        self._cursor.position, something = await feed.follow(self._cursor.position, self._settings.keep_alive_s)
        if not something:
            self.stale = True
            return sse.KEEP_ALIVE
        taken = feed.take()
        self.stale = taken.missed
        frames: list[bytes] = []
        ended: LiveEvent | None = None
        for heard in taken.items:
            if isinstance(heard, LiveLines):
                frames.append(self._take(heard))
            elif heard.end is not None:
                ended = heard
        if ended is not None and ended.end is not None:
            if self._cursor.position >= ended.end.last_line:
                self.done = ended.end_frame  # all was said: thousands of readers need not look for more
            else:
                self.stale = True
        return b"".join(frames)

    def _take(self, heard: LiveLines) -> bytes:
        new = self._cursor.live(heard.lines)
        if new is None:
            self.stale = True
            return b""
        if not self._only.everything:
            return line_frames([line for line in new if self._only.wants(line)])
        return heard.frames if len(new) == len(heard.lines) else line_frames(list(new))
