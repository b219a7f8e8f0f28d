import asyncio

from support.fake_executor import executing
from support.nats import NatsServer
from support.schedulers import Client, scheduling, until
from vulcan_contracts import subjects
from vulcan_contracts.commands import RequestKill
from vulcan_contracts.queue import ExplainRequest, Explanation, QueueSnapshot
from vulcan_contracts.reasons import Reason
from vulcan_contracts.spec import Retry
from vulcan_contracts.tenants import Quotas, Tenant
from vulcan_contracts.views import DrainRequest
from vulcan_contracts.workload import Workload
from vulcan_eventstore import broadcast
from vulcan_eventstore.buckets import Bucket
from vulcan_eventstore.connection import Bus
from vulcan_eventstore.dispatch import receive_hints
from vulcan_eventstore.errors import EventStoreUnavailableError
from vulcan_eventstore.log_reader import LogReader
from vulcan_eventstore.workload_log import WorkloadLog


async def explain(bus: Bus, workload_id: str, tenant: str = "a") -> Explanation | None:
    question = ExplainRequest(tenant=tenant, workload_id=workload_id)
    try:
        return await broadcast.request(bus, subjects.EXPLAIN_REQUEST, question, Explanation, timeout_s=0.5)
    except EventStoreUnavailableError:
        return None


async def test_runs_what_is_submitted_and_says_why_there(nats_server: NatsServer, bus: Bus) -> None:
    client = Client(bus)
    before = await client.submit()
    async with executing(bus, "n1") as executor, scheduling(nats_server):
        for _ in range(20):
            await client.submit()
        states = await client.all_ended()
    assert {state.state for state in states} == {"completed"}
    assert len(executor.started) == 21
    assert executor.most_at_once <= 4
    state = await client.state(before)
    assert state.isolation == "v8"
    assert state.node == "n1"
    assert state.isolation_reason == "javascript without network starts fastest in v8, which is available on 1 node"


async def test_a_node_hears_of_a_workload_before_it_is_given_it(nats_server: NatsServer, bus: Bus) -> None:
    client, hints = Client(bus), list[Workload]()
    listening = await receive_hints(bus, "n1", hints.append)
    async with executing(bus, "n1"), scheduling(nats_server):
        workload_id = await client.submit()
        (state,) = await client.all_ended()
    await listening.close()
    (hint,) = hints
    assert hint.id == workload_id
    assert hint.state == "pending"
    assert (hint.version, hint.node, hint.incarnation) == (2, state.node, state.incarnation)


async def test_what_does_not_fit_in_memory_is_loaded_at_its_release(nats_server: NatsServer, bus: Bus) -> None:
    client = Client(bus)
    async with executing(bus, "n1"), scheduling(nats_server, keep_state_bytes=10):
        await client.submit(stdin="x" * 10_000)
        (state,) = await client.all_ended()
    assert state.spec.stdin == "x" * 10_000


async def test_a_lost_node_fails_or_retries_its_runs_by_policy(nats_server: NatsServer, bus: Bus) -> None:
    client = Client(bus)
    async with scheduling(nats_server):
        async with executing(bus, "n1", run_s=None, slots=2) as lost:
            once = await client.submit()
            twice = await client.submit(retry=Retry(max_attempts=2))

            async def both_started() -> bool:
                return len(lost.started) == 2

            await until(both_started)
        async with executing(bus, "n2") as other:
            await client.all_ended()
    failed = await client.state(once)
    assert failed.state == "failed"
    assert failed.outcome is not None
    assert failed.outcome.reason is Reason.EXECUTOR_LOST
    lines = await LogReader(bus).read("a", once)
    assert [(line.seq, line.stream) for line in lines] == [(1, "system")]
    assert failed.outcome.last_line == 1
    completed = await client.state(twice)
    assert completed.state == "completed"
    assert completed.attempt == 2
    assert other.started == [twice]


async def test_a_node_that_says_goodbye_is_gone_at_once(nats_server: NatsServer, bus: Bus) -> None:
    client = Client(bus)
    async with (
        scheduling(nats_server, missed_heartbeats=10_000),
        executing(bus, "n1", run_s=None, slots=1) as lost,
    ):
        workload_id = await client.submit()

        async def started() -> bool:
            return lost.started == [workload_id]

        await until(started)
        await lost.goodbye()
        (state,) = await client.all_ended()
    assert state.outcome is not None
    assert state.outcome.reason is Reason.EXECUTOR_LOST


async def test_a_dispatch_that_nobody_starts_is_given_to_another_node(nats_server: NatsServer, bus: Bus) -> None:
    client = Client(bus)
    async with scheduling(nats_server), executing(bus, "n1", slots=1) as deaf:
        deaf.claiming = False
        await asyncio.sleep(0.6)  # a pull that is under way ends
        workload_id = await client.submit()

        async def assigned() -> bool:
            return (await client.state(workload_id)).node == "n1"

        await until(assigned)
        async with executing(bus, "n2", slots=1) as other:
            await client.all_ended()
            assert other.started == [workload_id]
            deaf.claiming = True

            async def bounced() -> bool:
                return deaf.bounced == [workload_id]

            await until(bounced)
    assert deaf.started == []
    assert (await client.state(workload_id)).node == "n2"


async def test_drain_by_the_operators_flag(nats_server: NatsServer, bus: Bus) -> None:
    client = Client(bus)
    flags = Bucket(bus, subjects.NODES_BUCKET, DrainRequest)
    async with scheduling(nats_server), executing(bus, "n1", run_s=None) as executor:
        running = await client.submit()

        async def started() -> bool:
            return executor.started == [running]

        await until(started)
        await flags.put("n1", DrainRequest(drain=True))
        await asyncio.sleep(0.2)
        held = await client.submit()

        async def explained() -> bool:
            answer = await explain(bus, held)
            return answer is not None and "draining" in answer.pending_reason and answer.position == 1

        await until(explained)
        executor.finish.set()

        async def ended() -> bool:
            return (await client.state(running)).ended

        await until(ended)
        assert (await client.state(held)).state == "pending"
        await flags.put("n1", DrainRequest(drain=False))
        await client.all_ended()


async def test_quotas_and_fair_share_end_to_end(nats_server: NatsServer, bus: Bus) -> None:
    client = Client(bus)
    tenants = Bucket(bus, subjects.TENANTS_BUCKET, Tenant)
    await tenants.put("capped", Tenant(id="capped", quotas=Quotas(max_running=1)))
    for _ in range(30):
        await client.submit("greedy", priority=100)
    modest = [await client.submit("modest") for _ in range(5)]
    capped = [await client.submit("capped") for _ in range(3)]
    snapshots: list[QueueSnapshot] = []
    listening = await broadcast.subscribe(bus, subjects.QUEUE_SNAPSHOT, QueueSnapshot, snapshots.append)
    async with scheduling(nats_server), executing(bus, "n1", slots=4, run_s=0.02) as executor:
        states = await client.all_ended()
    await listening.close()
    assert {state.state for state in states} == {"completed"}
    # The greedy one's 30 came first and are urgent, and yet the modest one's 5 are done within the first 20.
    assert max(executor.started.index(workload_id) for workload_id in modest) < 20
    assert max(executor.started.index(workload_id) for workload_id in capped) < 36
    assert max(snapshot.tenants["capped"].running for snapshot in snapshots if "capped" in snapshot.tenants) == 1
    assert snapshots[0].tenants["greedy"].waiting > 0


async def test_kill_while_waiting_and_queue_ttl(nats_server: NatsServer, bus: Bus) -> None:
    client = Client(bus)
    async with scheduling(nats_server):
        killed = await client.submit()
        expired = await client.submit(queue_ttl_s=1.0)
        await WorkloadLog(bus).execute("a", killed, RequestKill(), actor="user:test")
        await client.all_ended()
        assert (await client.state(killed)).state == "killed"
        outcome = (await client.state(expired)).outcome
        assert outcome is not None
        assert outcome.reason is Reason.QUEUE_EXPIRED


async def test_pending_reason_when_no_node_offers_it(nats_server: NatsServer, bus: Bus) -> None:
    client = Client(bus)
    async with scheduling(nats_server), executing(bus, "n1"):
        workload_id = await client.submit(isolation="gvisor")
        answer = await until(lambda: explain(bus, workload_id))
        while "About to be" in answer.pending_reason:
            answer = await until(lambda: explain(bus, workload_id))
        assert answer == Explanation(pending_reason="Waiting for a node: no node offers gvisor.", position=1)
