"""What a service owns is stopped in the reverse order of its making, whatever its parts do."""

import asyncio

from vulcan_chassis.lifecycle import Lifecycle


async def test_the_stop_runs_in_reverse_order_with_tasks_in_their_place() -> None:
    order: list[str] = []
    life = Lifecycle()

    def closing(name: str) -> None:
        async def close() -> None:
            order.append(name)

        life.on_stop(close, name=name)

    async def work(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            order.append(name)

    closing("bus")
    life.task(work("follower"), name="follower")
    closing("pool")
    life.task(work("projector"), name="projector")
    await asyncio.sleep(0)
    assert await life.close()
    assert order == ["projector", "pool", "follower", "bus"]


async def test_a_crashed_task_asks_for_the_stop_and_leaves_the_others_to_it() -> None:
    life = Lifecycle()
    stopped: list[str] = []

    async def crash() -> None:
        raise RuntimeError("no")

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.append("work")

    life.task(work(), name="work")
    life.task(crash(), name="crash")
    await life.wait_stopping()
    assert life.crashed
    assert stopped == []
    assert await life.close()
    assert stopped == ["work"]


async def test_a_task_that_returns_or_is_cancelled_is_no_crash() -> None:
    life = Lifecycle()
    life.task(asyncio.sleep(0), name="short")
    await asyncio.sleep(0.01)
    assert not life.stopping
    assert await life.close()
    assert not life.crashed


async def test_what_hangs_or_fails_does_not_keep_the_rest_from_stopping() -> None:
    life = Lifecycle(step_timeout_s=0.05)
    order: list[str] = []
    release = asyncio.Event()

    async def good() -> None:
        order.append("good")

    async def bad() -> None:
        raise RuntimeError("no")

    async def stubborn() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    life.on_stop(good, name="good")
    life.on_stop(bad, name="bad")
    life.task(stubborn(), name="stubborn")
    await asyncio.sleep(0)
    assert not await life.close(), "not clean: one step failed, one task still runs"
    assert order == ["good"]
    release.set()
    await asyncio.sleep(0.01)
