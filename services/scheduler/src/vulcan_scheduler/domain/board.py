"""Where each workload is: waiting in a lane or in backoff, or placed on one life of a node; and who is charged for it.

Every move goes through here, so that the counts of lanes, nodes, tenants and accounts always agree.
"""

from collections.abc import Iterator
from typing import get_args

from msgspec import Struct

from vulcan_contracts.spec import Backend
from vulcan_contracts.tenants import Quotas
from vulcan_scheduler.domain.fair_share import Account
from vulcan_scheduler.domain.job import Job
from vulcan_scheduler.domain.lanes import Lane
from vulcan_scheduler.domain.need import Need
from vulcan_scheduler.domain.nodes import Holder, Node, Registry
from vulcan_scheduler.domain.now import Now
from vulcan_scheduler.domain.pool import Pool
from vulcan_scheduler.domain.routing import Route, route
from vulcan_scheduler.domain.tenants import Tenants
from vulcan_scheduler.domain.timers import Timers

_RETRY_CHORE_S = 1.0
_MOST_PATIENCE = 8


class Limits(Struct, frozen=True, kw_only=True):
    """What is decided by; the settings say what each means."""

    dispatch_timeout_s: float = 5.0
    missed_heartbeats: int = 10
    lost_after_s: float = 10.0
    reserve_after_s: float = 10.0
    debt_cap_s: float = 60.0
    default_max_running: int = 10_000
    keep_state_bytes: int = 4096
    keep_total_bytes: int = 64 * 2**20
    node_check_interval_s: float = 0.1


class Board:
    """The lanes, pools and nodes' lives, and the clocks of what waits: backoffs and queue TTLs (`expiries`) by the wall
    clock, dispatches that nobody has started by the monotonic one."""

    def __init__(self, limits: Limits, registry: Registry, tenants: Tenants) -> None:
        self.registry = registry
        self.tenants = tenants
        self.lanes: dict[Need, Lane] = {}
        self.pools: dict[Backend, Pool] = {
            isolation: Pool(isolation, debt_cap_s=limits.debt_cap_s, reserve_after_s=limits.reserve_after_s)
            for isolation in get_args(Backend)
        }
        self.backoffs = Timers()
        self.expiries = Timers()
        self.dispatches = Timers()
        self._holders: dict[tuple[str, str], Holder] = {}
        self._dispatch_timeout_s = limits.dispatch_timeout_s

    def queue(self, job: Job, now: Now) -> None:
        """Let the job wait: in its lane, or until its backoff is over."""
        job.phase, job.queued = "waiting", True
        self.tenants.count(job.tenant, waiting=1)
        self.expiries.set(job.id, job.expires_at)
        if job.not_before is not None and job.not_before > now.wall:
            self.backoffs.set(job.id, job.not_before)
        else:
            self._line_up(job)

    def take_up(self, job: Job, now: Now) -> None:
        """Let a job wait again whose order came to nothing; past its TTL it is not given up again at once."""
        self.queue(job, now)
        self.expiries.set(job.id, max(job.expires_at, now.wall + _RETRY_CHORE_S))

    def unqueue(self, job: Job) -> None:
        """Take the job out of where it waits."""
        job.queued = False
        self.tenants.count(job.tenant, waiting=-1)
        self.expiries.clear(job.id)
        if job.id in self.backoffs:
            self.backoffs.clear(job.id)
            return
        lane = self.lanes[job.need]
        if not lane.discard(job):
            return
        pool = self._pool_of(lane)
        if pool is not None:
            pool.fair.leave(pool.fair.accounts[job.tenant], lane)
        if not lane.lines:
            del self.lanes[lane.need]
            if pool is not None:
                pool.drop_lane(lane)

    def place(self, job: Job, holder: Holder, isolation: Backend, now: Now) -> None:
        """Charge the job to a life of a node, and to its tenant."""
        job.phase, job.node, job.incarnation, job.isolation = "assigned", holder.node, holder.incarnation, isolation
        holder.jobs.add(job.id)
        holder.used = holder.used.plus(job.need.amount)
        self.dispatches.set(job.id, now.mono + self.patience_s(job))
        self.tenants.count(job.tenant, running=1)
        pool = self.pools[isolation]
        pool.fair.occupy(self._account(pool, job.tenant), job.need.amount)
        pool.used_changed(holder)
        self._recap(job.tenant)

    def displace(self, job: Job, at: float) -> None:
        """Take the job off its node; `at` is when it left, in Unix seconds."""
        if job.node is None or job.incarnation is None or job.isolation is None:
            return
        key = (job.node, job.incarnation)
        holder = self._holders[key]
        holder.jobs.discard(job.id)
        holder.used = holder.used.minus(job.need.amount)
        self._drop_if_empty(holder)
        self.dispatches.clear(job.id)
        self.tenants.count(job.tenant, running=-1)
        pool = self.pools[job.isolation]
        held_s = 0.0 if job.assigned_at is None else at - job.assigned_at
        pool.fair.vacate(self._account(pool, job.tenant), job.need.amount, held_s)
        pool.used_changed(holder)
        pool.room()
        self._recap(job.tenant)
        job.node = job.incarnation = job.isolation = job.assigned_at = None

    def set_nodes(self) -> None:
        """Route every lane again, as of which nodes there are now."""
        by_isolation: dict[Backend, dict[str, Node]] = {isolation: {} for isolation in self.pools}
        for node in self.registry.nodes.values():
            by_isolation[node.heartbeat.backend.isolation][node.name] = node
        for isolation, pool in self.pools.items():
            pool.set_nodes(by_isolation[isolation])
        for lane in self.lanes.values():
            before = self._pool_of(lane)
            lane.route = route(lane.need, self.registry.nodes.values())
            if self._pool_of(lane) is before:
                continue
            if before is not None:
                before.drop_lane(lane)
                for tenant in lane.lines:
                    before.fair.leave(before.fair.accounts[tenant], lane)
            self._enter_pool(lane)

    def room(self) -> None:
        """Something may fit somewhere that did not before."""
        for pool in self.pools.values():
            pool.room()

    def set_quotas(self, tenant: str, quotas: Quotas | None) -> None:
        """Take over what a tenant may have; None: nothing particular."""
        self.tenants.set_quotas(tenant, quotas)
        for pool in self.pools.values():
            account = pool.fair.accounts.get(tenant)
            if account is not None:
                account.weight = self.tenants.weight(tenant)
                account.capped = self.tenants.capped(tenant)
                pool.fair.refresh(account)
                pool.room()

    def wake_backoffs(self, jobs: dict[str, Job], now: Now) -> None:
        """Let those into their lanes whose backoff is over."""
        for name in self.backoffs.pop_due(now.wall):
            job = jobs.get(name)
            if job is not None and job.queued:
                self._line_up(job)

    def patience_s(self, job: Job) -> float:
        """How long its node has to start it: longer each time, so that a node that hangs does not fill the log."""
        return self._dispatch_timeout_s * min(1 << max(0, job.offers - 1), _MOST_PATIENCE)

    def holders(self) -> Iterator[Holder]:
        """Every life of a node that holds something or sends heartbeats; forgets the others."""
        for holder in list(self._holders.values()):
            self._drop_if_empty(holder)
            if holder.jobs:
                yield holder

    def holder(self, node: str, incarnation: str, now: Now) -> Holder:
        """The account of a life of a node, opened if need be."""
        holder = self._holders.get((node, incarnation))
        if holder is None:
            holder = self._holders[(node, incarnation)] = Holder(node, incarnation, now.mono)
        return holder

    def _drop_if_empty(self, holder: Holder) -> None:
        node = self.registry.nodes.get(holder.node)
        if not holder.jobs and (node is None or node.holder is not holder):
            self._holders.pop((holder.node, holder.incarnation), None)

    def _line_up(self, job: Job) -> None:
        lane = self.lanes.get(job.need)
        if lane is None:
            lane = self.lanes[job.need] = Lane(job.need, route(job.need, self.registry.nodes.values()))
            self._enter_pool(lane)
        job.need = lane.need
        if lane.add(job):
            self._join(lane, job.tenant)

    def _recap(self, tenant: str) -> None:
        """Let the tenant's turns follow its quota of running workloads."""
        capped = self.tenants.capped(tenant)
        for pool in self.pools.values():
            account = pool.fair.accounts.get(tenant)
            if account is not None and account.capped != capped:
                account.capped = capped
                pool.fair.refresh(account)

    def _pool_of(self, lane: Lane) -> Pool | None:
        return self.pools[lane.route.isolation] if isinstance(lane.route, Route) else None

    def _enter_pool(self, lane: Lane) -> None:
        pool = self._pool_of(lane)
        if pool is not None:
            pool.add_lane(lane)
            for tenant in lane.lines:
                self._join(lane, tenant)

    def _join(self, lane: Lane, tenant: str) -> None:
        pool = self._pool_of(lane)
        if pool is not None:
            pool.fair.join(self._account(pool, tenant), lane)

    def _account(self, pool: Pool, tenant: str) -> Account:
        return pool.fair.account(tenant, self.tenants.weight(tenant), capped=self.tenants.capped(tenant))
