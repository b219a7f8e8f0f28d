"""Everything at once: many runs, NATS killed again and again, executors that crash, users that kill. What must hold
holds all the same: each workload ends once, and its log has every line up to the one that its end names."""

import asyncio
import random
from contextlib import AsyncExitStack

import pytest

from support.executors import QUICK, Node, Platform, contiguous
from support.fake_programs import script
from support.nats import NatsServer
from vulcan_contracts.clock import utc_now
from vulcan_contracts.errors import DomainError
from vulcan_contracts.spec import Retry, Spec
from vulcan_eventstore.connection import Bus
from vulcan_eventstore.errors import EventStoreUnavailableError
from vulcan_sandbox.fake import FakeBackend

RUNS = 40
RETRY = Retry(max_attempts=10)


def any_program(chance: random.Random) -> Spec:
    steps = chance.randint(1, 30)
    printing = [line for number in range(steps) for line in (f"print {number}", f"sleep {chance.uniform(0, 0.1):.3f}")]
    ending = chance.choice(["exit 0", "exit 3", "count 3000", "print bye", "hang", "prepare slow 0.2", "file a.txt x"])
    return script(*printing, ending, timeout_s=6, grace_s=0.1, retry=RETRY, artifacts=["*.txt"])


class Scheduler:
    """Gives what waits to the living node, and declares lost what a dead one ran."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.ids: list[str] = []
        self.node: Node | None = None
        self._given: dict[tuple[str, int], tuple[str, float]] = {}

    async def tend(self) -> None:
        while True:
            for workload_id in self.ids:
                try:
                    await self._tend(workload_id)
                except (DomainError, EventStoreUnavailableError):
                    continue  # somebody was quicker, or nobody there; next round
            await asyncio.sleep(0.1)

    async def _tend(self, workload_id: str) -> None:
        node = self.node
        state = await self.platform.state(workload_id)
        if state.ended or node is None:
            return
        if state.state == "running":
            if state.incarnation != node.me.incarnation:
                old = type(node.me)(node=state.node or "", incarnation=state.incarnation or "")
                await self.platform.lose(workload_id, old)
            return
        to, when = self._given.get((workload_id, state.attempt), ("", 0.0))
        now = utc_now().timestamp()
        if to != node.me.incarnation or now - when > 3:
            self._given[workload_id, state.attempt] = node.me.incarnation, now
            await self.platform.give(workload_id, node.me)


@pytest.mark.parametrize("seed", [1, 2])
async def test_storm(bus: Bus, nats_server: NatsServer, seed: int) -> None:
    chance = random.Random(seed)
    platform = Platform(bus)
    scheduler = Scheduler(platform)
    scheduler.ids = [await platform.submit(any_program(chance)) for _ in range(RUNS)]
    killed = set(chance.sample(scheduler.ids, 6))
    tending = asyncio.create_task(scheduler.tend())
    backends: list[FakeBackend] = []

    async def kill_some() -> None:
        for workload_id in sorted(killed):
            await asyncio.sleep(0.4)
            await platform.kill(workload_id)

    killing = asyncio.create_task(kill_some())
    async with AsyncExitStack() as at_end:
        for life in range(3):
            async with AsyncExitStack() as stack:
                backends.append(FakeBackend())
                # The first lives crash; the last one stays to the end.
                node = await stack.enter_async_context(Node.running(bus, backends[-1], settings=QUICK, stop=False))
                scheduler.node = node
                await asyncio.sleep(1.0)
                await nats_server.bounce(away_s=chance.uniform(0.0, 0.8))
                if life == 2:
                    at_end.push_async_exit(stack.pop_all())
                    break
        states = [await platform.ended(workload_id, within_s=100) for workload_id in scheduler.ids]
        await killing
        tending.cancel()
    for state in states:
        types = await platform.types(state.id)
        assert sum(kind in ("completed", "failed", "killed") for kind in types) == 1, types
        assert types.count("started") <= state.attempt
        lines = await platform.lines(state.id)
        assert contiguous(lines)
        assert state.outcome is not None
        assert state.outcome.last_line == len(lines), (state.outcome, lines[-3:])
        assert state.id in killed or state.state != "killed"
    assert all(backend.tasks == set() and backend.sandboxes == set() for backend in backends)
