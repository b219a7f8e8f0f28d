"""Takes what is stored out of NATS, Postgres and the API, as it is."""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import asyncpg
import msgspec

from chaos.api import Api
from chaos.records import Batch, Event, Row
from vulcan_contracts import subjects
from vulcan_contracts.events import decode_envelope
from vulcan_contracts.logs import LogLine, decode_batch
from vulcan_contracts.views import LogPage
from vulcan_eventstore import jetstream
from vulcan_eventstore.connection import Bus, NatsSettings
from vulcan_eventstore.jetstream import Stored

PAGE: Final = 1000
CAUGHT_UP_S: Final = 60.0
_AT_ONCE: Final = 4
_POLL_S: Final = 0.1
_page = msgspec.json.Decoder(LogPage)


class NotCaughtUpError(Exception):
    """The projections stay behind the log."""


async def connect(data: Path) -> Bus:
    """A connection to the nats-server of this data directory."""
    url = await asyncio.to_thread((data / "nats" / "url").read_text)
    return await Bus.connect(NatsSettings(url=url.strip()), name="chaos")


async def events(bus: Bus) -> list[Event]:
    """The whole event stream."""
    stored = await _everything(bus, subjects.EVENTS_STREAM, subjects.ALL_EVENTS)
    return [Event(each.seq, each.subject, decode_envelope(each.data)) for each in stored]


async def batches(bus: Bus) -> list[Batch]:
    """The whole log stream, without the messages that only shut out a writer."""
    stored = await _everything(bus, subjects.LOGS_STREAM, subjects.ALL_LOGS)
    return [Batch(each.seq, each.subject, decode_batch(each.data)) for each in stored if each.data]


async def _everything(bus: Bus, stream: str, subject: str) -> list[Stored]:
    found: list[Stored] = []
    while True:
        after = found[-1].seq if found else 0
        page = await jetstream.direct_many(bus, stream, subject, from_seq=after + 1, limit=PAGE)
        if not page:
            return found
        found += page


async def waiting(bus: Bus) -> int:
    """How many messages stand in the nodes' queues."""
    info = msgspec.json.decode(await jetstream.call(bus, f"STREAM.INFO.{subjects.DISPATCH_STREAM}"))
    count: int = info["state"]["messages"]
    return count


class Tables:
    """The projections."""

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        self._connection = connection

    async def workloads(self) -> list[Row]:
        """Every row of `workloads`."""
        return [dict(row) for row in await self._connection.fetch("SELECT * FROM workloads ORDER BY id")]

    async def log_lines(self) -> list[Row]:
        """Every row of `log_lines`, in the order in which a reader gets them."""
        rows = await self._connection.fetch("SELECT * FROM log_lines ORDER BY workload_id, seq")
        return [dict(row) for row in rows]

    async def caught_up(self, workloads: int, log_lines: int) -> None:
        """Wait until the projections are so far.

        Raises:
            NotCaughtUpError: they are not, for long.
        """
        wanted = {"workloads": workloads, "log_lines": log_lines}
        positions: dict[str, Any] = {}
        for _ in range(int(CAUGHT_UP_S / _POLL_S)):
            rows = await self._connection.fetch("SELECT name, seq FROM projection_positions")
            positions = {row["name"]: row["seq"] for row in rows}
            if all(positions[name] >= seq for name, seq in wanted.items()):
                return
            await asyncio.sleep(_POLL_S)
        raise NotCaughtUpError(f"the log is at {wanted}, its projections still at {positions}")


@asynccontextmanager
async def tables(url: str) -> AsyncIterator[Tables]:
    """Connected to the database that the services use."""
    connection = await asyncpg.connect(url, timeout=10.0, command_timeout=60.0)
    try:
        yield Tables(connection)
    finally:
        await connection.close(timeout=5.0)


def lines_of(rows: Iterable[Row]) -> dict[str, list[LogLine]]:
    """Rows of `log_lines` as lines, by workload."""
    found: dict[str, list[LogLine]] = {}
    for row in rows:
        line = LogLine(**{name: row[name] for name in LogLine.__struct_fields__})
        found.setdefault(row["workload_id"], []).append(line)
    return found


async def pages(api: Api, names: Collection[str]) -> dict[str, list[LogLine]]:
    """The lines of these workloads as the API gives them, page by page."""
    room = asyncio.Semaphore(_AT_ONCE)

    async def read(name: str) -> list[LogLine]:
        lines: list[LogLine] = []
        async with room:
            while True:
                after = lines[-1].seq if lines else 0
                answer = await api.call("GET", f"/v1/workloads/{name}/logs", params={"after": after, "limit": PAGE})
                page = _page.decode(answer.content)
                lines += page.items
                if not page.has_more:
                    return lines

    async with asyncio.TaskGroup() as group:
        tasks = {name: group.create_task(read(name)) for name in names}
    return {name: task.result() for name, task in tasks.items() if task.result()}


async def listed(api: Api) -> dict[str, str]:
    """The state of every workload that the API lists."""
    found: dict[str, str] = {}
    cursor: str | None = None
    while True:
        params: dict[str, str | int] = {"limit": 500} | ({} if cursor is None else {"cursor": cursor})
        page = (await api.call("GET", "/v1/workloads", params=params)).json()
        found |= {item["id"]: item["state"] for item in page["items"]}
        cursor = page["next_cursor"]
        if not page["has_more"]:
            return found
