"""What a gateway reads logs and events from, in memory: behind, away, slow, or answering with what was true before."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

from vulcan_contracts import subjects
from vulcan_contracts.commands import Command
from vulcan_contracts.events import Recorded
from vulcan_contracts.logs import LogLine
from vulcan_eventstore.errors import EventStoreUnavailableError
from vulcan_eventstore.event_reader import EventSlice
from vulcan_eventstore.memory_log import MemoryWorkloadLog
from vulcan_eventstore.proposal import Executed, Tracked
from vulcan_gateway.db.pool import ProjectionUnavailableError
from vulcan_gateway.domain.filters import ALL_LINES, LineFilter
from vulcan_gateway.history import LogHistory

T = TypeVar("T")
TIME = datetime(2026, 1, 1, tzinfo=UTC)


class Stores:
    """The log stream of one workload, its table, and all events; and what is wrong with them at the moment."""

    def __init__(self, tenant: str, workload_id: str) -> None:
        self.key = (tenant, workload_id)
        self.log = MemoryWorkloadLog()
        self.lines: list[LogLine] = []
        self.projected = 0
        """How many lines are in the table."""
        self.expired = 0
        """How many of the oldest lines are no more, neither here nor there."""
        self.hidden = 0
        """How many of the newest lines, and events, a replica does not have yet."""
        self.nats_away = False
        self.postgres_away = False
        self.slow_s = 0.0
        self.old_answers = False
        """An answer that takes its time says what was when it was asked for, not what is when it comes."""

    def whole(self) -> None:
        """Nothing is wrong any more."""
        self.nats_away = self.postgres_away = False
        self.hidden, self.slow_s = 0, 0.0

    async def nats(self, answer: Callable[[], T]) -> T:
        """What NATS answers."""
        answered = await self._answer(answer)
        if self.nats_away:
            raise EventStoreUnavailableError("NATS is away")
        return answered

    async def postgres(self, answer: Callable[[], T]) -> T:
        """What Postgres answers."""
        answered = await self._answer(answer)
        if self.postgres_away:
            raise ProjectionUnavailableError("Postgres is away")
        return answered

    async def _answer(self, answer: Callable[[], T]) -> T:
        before = answer()
        await asyncio.sleep(self.slow_s)
        return before if self.old_answers else answer()

    def history(self) -> LogHistory:
        """The real one, on these."""
        return LogHistory(_Table(self), _LogStream(self))


class RemoteLog:
    """The events of a workload by way of NATS: never behind."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores

    async def load(self, tenant: str, workload_id: str, *, deadline_s: float = 5.0) -> Tracked | None:
        await self._stores.nats(lambda: None)
        return await self._stores.log.load(tenant, workload_id, deadline_s=deadline_s)

    async def history(self, tenant: str, workload_id: str, *, deadline_s: float = 5.0) -> list[Recorded]:
        await self._stores.nats(lambda: None)
        return await self._stores.log.history(tenant, workload_id, deadline_s=deadline_s)

    async def execute(
        self,
        tenant: str,
        workload_id: str,
        command: Command,
        *,
        actor: str,
        known: Tracked | None = None,
        deadline_s: float = 10.0,
    ) -> Executed:
        await self._stores.nats(lambda: None)
        return await self._stores.log.execute(
            tenant, workload_id, command, actor=actor, known=known, deadline_s=deadline_s
        )


class RemoteEvents:
    """Pages of events by way of a replica; what the newest is, the leader says."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores

    async def read(self, filter_subject: str, *, after_seq: int, limit: int) -> EventSlice:
        return await self._stores.nats(lambda: self._page(filter_subject, after_seq, limit))

    async def newest(self, filter_subject: str) -> int:
        return await self._stores.nats(lambda: self._newest(filter_subject))

    def _page(self, filter_subject: str, after_seq: int, limit: int) -> EventSlice:
        events = self._stores.log.events
        known = events[: max(0, len(events) - self._stores.hidden)]
        found = [event for event in known if event.seq > after_seq and _matches(event, filter_subject)]
        page = found[:limit]
        position = page[-1].seq if page else after_seq
        return EventSlice(page, position, more=self._newest(filter_subject) > position)

    def _newest(self, filter_subject: str) -> int:
        return max((event.seq for event in self._stores.log.events if _matches(event, filter_subject)), default=0)


def _matches(event: Recorded, filter_subject: str) -> bool:
    envelope = event.envelope
    return filter_subject in (
        subjects.tenant_events(envelope.tenant),
        subjects.tenant_events(envelope.tenant, envelope.type),
    )


class _Table:
    """A `history.Table`."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores

    async def read(self, tenant: str, workload_id: str, after: int, limit: int) -> list[LogLine]:
        return await self.search(tenant, workload_id, after, len(self._stores.lines), ALL_LINES, limit)

    async def last(self, tenant: str, workload_id: str) -> int:
        assert (tenant, workload_id) == self._stores.key
        return await self._stores.postgres(self._last)

    async def search(
        self, tenant: str, workload_id: str, after: int, upto: int, only: LineFilter, limit: int
    ) -> list[LogLine]:
        assert (tenant, workload_id) == self._stores.key
        return await self._stores.postgres(lambda: self._wanted(after, upto, only)[:limit])

    def _last(self) -> int:
        return self._stores.projected if self._stores.projected > self._stores.expired else 0

    def _wanted(self, after: int, upto: int, only: LineFilter) -> list[LogLine]:
        upto = min(upto, self._stores.projected)
        return [line for line in self._stores.lines[max(after, self._stores.expired) : upto] if only.wants(line)]


class _LogStream:
    """A `history.LogStream`, read at a replica; its newest line is the leader's."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores

    async def read(self, tenant: str, workload_id: str, *, after_line: int = 0, limit: int = 1000) -> list[LogLine]:
        assert (tenant, workload_id) == self._stores.key
        return await self._stores.nats(lambda: self._known()[max(after_line, self._stores.expired) :][:limit])

    async def last_line(self, tenant: str, workload_id: str) -> int:
        assert (tenant, workload_id) == self._stores.key
        return await self._stores.nats(lambda: len(self._stores.lines))

    def _known(self) -> list[LogLine]:
        return self._stores.lines[: max(0, len(self._stores.lines) - self._stores.hidden)]
