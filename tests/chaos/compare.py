"""Once everything has ended: what is stored, against what was asked for and what readers saw, and against a rebuild."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final

from chaos import (
    collect,
    plan,
    verify_causes,
    verify_events,
    verify_lines,
    verify_projections,
    verify_readers,
    verify_rest,
)
from chaos.api import Api
from chaos.killer import Killer
from chaos.load import Work
from chaos.records import Batch, Event, Row
from chaos.verify_events import Histories
from support.stack import Stack
from vulcan_eventstore.connection import Bus

REST_S: Final = 15.0
_LOOK_S: Final = 0.5

Judge = Callable[[str, Sequence[str]], None]
"""Takes what was compared, and what is wrong with it: nothing, where all is well."""


class Comparison:
    """Reads everything while nothing moves."""

    def __init__(self, stack: Stack, api: Api, work: Work, killer: Killer, database: str, judge: Judge) -> None:
        self._stack = stack
        self._api = api
        self._work = work
        self._killer = killer
        self._database = database
        self._judge = judge
        self._events: list[Event] = []
        self._batches: list[Batch] = []
        self.histories = Histories([])
        self.lines: dict[str, list[verify_lines.StoredLine]] = {}

    async def run(self) -> None:
        """All comparisons."""
        bus = await collect.connect(self._stack.data)
        try:
            self._events, self._batches = await collect.events(bus), await collect.batches(bus)
            self.histories, self.lines = Histories(self._events), verify_lines.by_workload(self._batches)
            await self._log()
            await self._rest(bus)
        finally:
            await bus.close()
        pages = await collect.pages(self._api, self._work.submitted)
        self._judge("lines by the API", verify_lines.copy_violations("by the API", self.lines, pages))
        await self._tables()

    async def _log(self) -> None:
        work, attempts = self._work, self.histories.attempts
        nodes = (await self._api.call("GET", "/v1/nodes")).json()["items"]
        host_died = verify_causes.host_died(node["backend"]["details"]["jail"] for node in nodes)
        self._judge("events", verify_events.violations(work.submitted, self._events, host_died))
        self._judge("lines", verify_lines.violations(work.submitted, attempts, self._batches))
        self._judge("readers", verify_readers.violations(work.readings, self.histories.states, self.lines))
        lives = verify_causes.incarnations(self._events)
        kills, logs = self._killer.by_kind, self._logs()
        self._judge("causes", verify_causes.violations(kills, logs, attempts, lives, host_died))

    def _logs(self) -> dict[str, list[str]]:
        files = {kind: self._stack.data / "logs" / f"{kind}.log" for kind in plan.KINDS if kind != plan.DENO}
        return {name: path.read_text("utf-8", "replace").splitlines() for name, path in files.items()}

    async def _rest(self, bus: Bus) -> None:
        """What is held must be given back soon; heartbeats and projections tell of it a moment later."""
        deadline = time.monotonic() + REST_S
        while True:
            found = verify_rest.violations(
                (await self._api.call("GET", "/v1/nodes")).json()["items"],
                (await self._api.call("GET", "/v1/stats")).json(),
                await collect.waiting(bus),
                await collect.listed(self._api),
                self.histories.states,
            )
            if not found or time.monotonic() > deadline:
                self._judge("at rest", found)
                return
            await asyncio.sleep(_LOOK_S)

    async def _tables(self) -> None:
        workloads, lines = await self._dump()
        self._judge("tables", verify_projections.log_violations(workloads, self.histories.states))
        copy = collect.lines_of(lines)
        self._judge("lines in Postgres", verify_lines.copy_violations("in Postgres", self.lines, copy))
        self._judge("rebuild", await asyncio.to_thread(self._rebuild))
        again, lines_again = await self._dump()
        self._judge("rebuild", verify_projections.rebuild_violations("workloads", workloads, again, ["id"]))
        key = ["tenant", "workload_id", "seq"]
        self._judge("rebuild", verify_projections.rebuild_violations("log_lines", lines, lines_again, key))

    async def _dump(self) -> tuple[list[Row], list[Row]]:
        async with collect.tables(self._database) as tables:
            await tables.caught_up(
                workloads=self._events[-1].seq if self._events else 0,
                log_lines=self._batches[-1].seq if self._batches else 0,
            )
            return await tables.workloads(), await tables.log_lines()

    def _rebuild(self) -> list[str]:
        """By the command that an operator has for it."""
        done = self._stack.vulcan("admin", "rebuild", "--wait")
        return [] if done.returncode == 0 else [f"ended with {done.returncode}: {done.stdout}{done.stderr}"]
