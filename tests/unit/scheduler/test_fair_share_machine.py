"""Any arrivals, ends, failures and nodes: quotas hold, no room is wasted, no tenant is passed over, nothing is lost."""

from collections import Counter

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from support.scheduling import World
from vulcan_contracts import commands
from vulcan_contracts.reasons import Reason
from vulcan_contracts.spec import Retry
from vulcan_contracts.tenants import Quotas
from vulcan_contracts.workload import Workload
from vulcan_scheduler.domain.amounts import NOTHING, of_resources
from vulcan_scheduler.domain.board import Limits
from vulcan_scheduler.domain.job import Job
from vulcan_scheduler.domain.orders import Expire, Lose

PHASES = (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)
TENANTS = ("a", "b", "c", "d")
NODES = ("n1", "n2", "n3")
SIZES = ((0.5, 64), (1.0, 128), (2.0, 256), (4.0, 3000))
tenants = st.sampled_from(TENANTS)


class Cluster(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.world = World(Limits(reserve_after_s=1e9))
        self.number = 0
        self.zombies = False
        self.lives: Counter[str] = Counter()
        self.weights = dict.fromkeys(TENANTS, 1.0)
        self.caps: dict[str, int | None] = dict.fromkeys(TENANTS)

    @initialize(
        weights=st.lists(st.sampled_from([0.5, 1.0, 3.0]), min_size=4, max_size=4),
        caps=st.lists(st.sampled_from([None, 1, 3]), min_size=4, max_size=4),
        many=st.integers(2, 5),
    )
    def begin(self, weights: list[float], caps: list[int | None], many: int) -> None:
        for tenant, weight, cap in zip(TENANTS, weights, caps, strict=True):
            self.weights[tenant], self.caps[tenant] = weight, cap
            self.world.plan.set_quotas(tenant, Quotas(weight=weight, max_running=cap))
        self.join("n1", 4)
        for tenant in TENANTS[:3]:
            self.submit(tenant, SIZES[1], 0, many, 2, 2.0)

    @property
    def live(self) -> list[Workload]:
        return [state for state in self.world.states.values() if not state.ended]

    @property
    def waiting(self) -> list[Job]:
        """What waits and may go: not in backoff, its tenant below its quota."""
        running = self.running()
        now = self.world.now.wall
        return [
            job
            for job in self.world.plan.jobs.values()
            if job.phase == "waiting"
            and job.id not in self.world.plan.in_hand
            and (job.not_before or 0.0) <= now
            and running[job.tenant] < self.cap(job.tenant)
        ]

    def cap(self, tenant: str) -> int:
        cap = self.caps[tenant]
        return 10_000 if cap is None else cap

    def running(self) -> Counter[str]:
        return Counter(job.tenant for job in self.world.plan.jobs.values() if job.node is not None)

    def fits(self, job: Job) -> bool:
        nodes = self.world.plan.registry.nodes.values()
        return any(
            not node.draining and node.suspect_until <= self.world.time and node.free.holds(job.need.amount)
            for node in nodes
        )

    def share(self, tenant: str) -> float:
        used, total = NOTHING, NOTHING
        for job in self.world.plan.jobs.values():
            if job.tenant == tenant and job.node is not None:
                used = used.plus(job.need.amount)
        for node in self.world.plan.registry.nodes.values():
            total = total.plus(node.capacity)
        return used.dominant_share(total) / self.weights[tenant]

    # What happens.

    @rule(
        tenant=tenants,
        size=st.sampled_from(SIZES),
        priority=st.integers(-2, 2),
        many=st.integers(1, 4),
        attempts=st.integers(1, 3),
        backoff_s=st.sampled_from([0.0, 2.0]),
    )
    def submit(
        self, tenant: str, size: tuple[float, int], priority: int, many: int, attempts: int, backoff_s: float
    ) -> None:
        for _ in range(many):
            self.number += 1
            self.world.submit(
                f"w{self.number}",
                tenant,
                cpus=size[0],
                memory_mb=size[1],
                priority=priority,
                retry=Retry(max_attempts=attempts, on=[Reason.EXECUTOR_LOST, Reason.EXIT_NONZERO], backoff_s=backoff_s),
            )

    @rule(times=st.integers(1, 6), fails=st.booleans())
    def release(self, times: int, fails: bool) -> None:
        for _ in range(times):
            if self.world.plan._again:  # it had its turn before
                again = self.world.plan.next_release(self.world.now)
                if again is not None:
                    self.world.carry_out(again)
                continue
            choices = [job for job in self.waiting if self.fits(job)]
            shares = {job.tenant: self.share(job.tenant) for job in choices}
            order = self.world.plan.next_release(self.world.now)
            if order is None:
                assert not choices, "room was left, and work that fits into it"
                return
            chosen = next(job for job in choices if job.id == order.workload_id)
            assert shares[chosen.tenant] <= min(shares.values()) + 1e-9, "another tenant had less"
            assert chosen.rank == min(job.rank for job in choices if job.tenant == chosen.tenant)
            if fails:
                self.world.plan.failed(order.workload_id, self.world.now)
                return
            self.world.carry_out(order)

    @rule(data=st.data())
    def start(self, data: st.DataObject) -> None:
        found = [state.id for state in self.live if state.state == "pending" and state.node is not None]
        if found:
            name = data.draw(st.sampled_from(found))
            self.zombies |= self.world.plan.jobs[name].phase == "waiting"  # its node was lost, and yet it starts there
            self.world.start(name)

    @rule(data=st.data(), reason=st.sampled_from([None, Reason.EXIT_NONZERO]))
    def end(self, data: st.DataObject, reason: Reason | None) -> None:
        found = [state.id for state in self.live if state.state == "running"]
        if found:
            self.world.end(data.draw(st.sampled_from(found)), reason)

    @rule(
        rounds=st.integers(1, 4),
        seconds=st.sampled_from([0.0, 0.5, 2.0]),
        reason=st.sampled_from([None, Reason.EXIT_NONZERO]),
    )
    def work_goes_on(self, rounds: int, seconds: float, reason: Reason | None) -> None:
        """Places are given, and become free one after the other."""
        for _ in range(rounds):
            self.release(8, fails=False)
            for state in self.live:
                if (
                    state.state == "pending"
                    and state.node is not None
                    and self.world.plan.jobs[state.id].phase != "waiting"
                ):
                    self.world.start(state.id)
            self.world.time += seconds
            running = [state.id for state in self.live if state.state == "running"]
            if running:
                self.world.end(running[0], reason)
                self.release(1, fails=False)
            self.quotas_hold()

    @rule(data=st.data())
    def kill(self, data: st.DataObject) -> None:
        found = [state.id for state in self.live]
        if found:
            self.world.tell(data.draw(st.sampled_from(found)), commands.RequestKill())

    @rule(data=st.data())
    def kill_while_releasing(self, data: st.DataObject) -> None:
        order = self.world.plan.next_release(self.world.now)
        if order is not None:
            recorded = self.world.append(order.workload_id, commands.RequestKill())
            state = self.world.states[order.workload_id]
            if recorded is not None and data.draw(st.booleans()):
                self.world.plan.apply(recorded, self.world.now)
            self.world.plan.absorb(state, self.world.seqs[order.workload_id], self.world.now)
            if recorded is not None:
                self.world.plan.apply(recorded, self.world.now)

    @rule(node=st.sampled_from(NODES), slots=st.integers(1, 5))
    def join(self, node: str, slots: int) -> None:
        self.lives[node] += 1
        self.world.beat(node, f"in_{self.lives[node]:04}", slots=slots, cpus=6.0, memory_mb=4096)
        self.chores()

    @rule(node=st.sampled_from(NODES))
    def leave(self, node: str) -> None:
        if node in self.world.plan.registry.nodes:
            beat = self.world.plan.registry.nodes[node].heartbeat
            self.world.beat(node, beat.incarnation, state="stopped")
            self.chores()

    @rule(names=st.sets(st.sampled_from(NODES)))
    def drain(self, names: set[str]) -> None:
        self.world.plan.set_drained(names)

    @rule(tenant=tenants, cap=st.sampled_from([None, 1, 2]))
    @precondition(lambda self: self.number > 3)
    def change_quota(self, tenant: str, cap: int | None) -> None:
        if cap is None or self.running()[tenant] <= cap:
            self.caps[tenant] = cap
            self.world.plan.set_quotas(tenant, Quotas(weight=self.weights[tenant], max_running=cap))

    @rule(seconds=st.sampled_from([0.5, 3.0, 6.0]))
    def time_passes(self, seconds: float) -> None:
        self.world.time += seconds
        for node in list(self.world.plan.registry.nodes.values()):
            self.world.plan.hear(node.heartbeat, self.world.now)
        self.chores()

    def chores(self) -> None:
        for chore in self.world.chores():
            if isinstance(chore, Lose):
                self.world.lose(chore)
            assert not isinstance(chore, Expire)

    # What always holds.

    @invariant()
    def nodes_are_charged_what_they_hold(self) -> None:
        for node in self.world.plan.registry.nodes.values():
            used = NOTHING
            for name in node.holder.jobs:
                used = used.plus(of_resources(self.world.states[name].spec.resources))
            assert node.holder.used == used
            assert node.capacity.holds(used) or self.zombies

    @invariant()
    def quotas_hold(self) -> None:
        running = self.running()
        for tenant in TENANTS:
            load = self.world.plan.tenants.loads.get(tenant)
            assert (load.running if load else 0) == running[tenant]
            assert running[tenant] <= self.cap(tenant) or self.zombies

    @invariant()
    def the_plan_is_what_the_log_says(self) -> None:
        plan = self.world.plan
        assert set(plan.jobs) == {state.id for state in self.live}
        for state in self.live:
            job = plan.jobs[state.id]
            assert (job.version, job.attempt) == (state.version, state.attempt)
            assert (job.phase == "running") == (state.state == "running")
            assert job.state == state
            if job.phase != "waiting" and job.id not in plan.in_hand:
                assert (job.node, job.incarnation) == (state.node, state.incarnation)

    def teardown(self) -> None:
        """With room for everything, everything comes to its end, and nothing stays counted."""
        plan = self.world.plan
        plan.set_drained(set())
        for round_number in range(200):
            self.lives["n1"] += 1 if round_number == 0 else 0
            self.world.beat("n1", f"in_{self.lives['n1']:04}", slots=8, cpus=64.0, memory_mb=65_536)
            self.world.time += 0.5
            self.chores()
            for order in self.world.release_all():
                if self.world.states[order.workload_id].state == "pending":
                    self.world.start(order.workload_id)
            for state in self.live:
                if state.state == "running":
                    self.world.end(state.id)
            if not self.live:
                break
        assert not self.live
        assert self.world.idle()


Cluster.TestCase.settings = settings(max_examples=40, stateful_step_count=40, deadline=None, phases=PHASES)
TestCluster = Cluster.TestCase
