"""What the scheduler does to the queues of nodes."""

from prometheus_client import CollectorRegistry

from support.scheduling import heartbeat, spec
from vulcan_contracts.commands import Schedule, Submit
from vulcan_contracts.dispatch import Assignment
from vulcan_contracts.ids import new_workload_id
from vulcan_eventstore.connection import Bus
from vulcan_eventstore.dispatch import Claims, Dispatcher
from vulcan_eventstore.workload_log import Tracked, WorkloadLog
from vulcan_scheduler.desk import Desk
from vulcan_scheduler.domain.board import Limits
from vulcan_scheduler.domain.orders import Offer, Withdraw
from vulcan_scheduler.log.chores import Chores
from vulcan_scheduler.metrics import Metrics


async def no_seal(_tenant: str, _workload_id: str, _attempt: int, _text: str) -> int:
    raise AssertionError("nothing is lost here")


def chores(bus: Bus, desk: Desk) -> Chores:
    metrics = Metrics(CollectorRegistry(), desk, top_tenants=5)
    return Chores(WorkloadLog(bus), Dispatcher(bus), no_seal, desk, metrics, append_timeout_s=10.0, at_once=4)


async def given(bus: Bus, incarnation: str = "in_1") -> Tracked:
    log, workload_id = WorkloadLog(bus), new_workload_id()
    await log.execute("a", workload_id, Submit(spec=spec(), fingerprint="f"), actor="user:test")
    schedule = Schedule(isolation="v8", isolation_reason="test", node="n1", incarnation=incarnation)
    return (await log.execute("a", workload_id, schedule, actor="scheduler")).tracked


async def test_the_queue_of_a_node_that_is_back_is_left_alone(bus: Bus) -> None:
    desk, tracked = Desk(Limits()), await given(bus)
    await Dispatcher(bus).offer("n1", Assignment(workload=tracked.state, seq=tracked.seq))
    claims = await Claims.open(bus, "n1")

    desk.plan.hear(heartbeat("n1", "in_2"), desk.now())
    await chores(bus, desk).carry_out(Withdraw(node="n1"))
    (claim,) = await claims.take(1, 20.0)
    await claim.put_back()

    await chores(bus, Desk(Limits())).carry_out(Withdraw(node="n1"))
    assert await claims.take(1, 0.2) == []


async def test_only_what_the_log_still_gives_to_the_node_is_offered_again(bus: Bus) -> None:
    desk, mine, moved = Desk(Limits()), await given(bus), await given(bus, "in_2")
    for tracked in (moved, mine):
        offer = Offer(
            workload_id=tracked.state.id, tenant="a", node="n1", incarnation="in_1", state=None, seq=tracked.seq
        )
        await chores(bus, desk).carry_out(offer)
    claims = await Claims.open(bus, "n1")
    assert [claim.assignment.seq for claim in await claims.take(4, 20.0)] == [mine.seq]
