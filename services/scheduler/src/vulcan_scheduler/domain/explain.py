"""Why a workload waits, in words that its owner understands, and its place among the tenant's waiting ones."""

import bisect
from datetime import UTC, datetime
from typing import Final

from vulcan_contracts.queue import Explanation
from vulcan_scheduler.domain.job import Job
from vulcan_scheduler.domain.now import Now
from vulcan_scheduler.domain.plan import Plan
from vulcan_scheduler.domain.routing import NoRoute, able

_KEPT_S: Final = 1.0
_KEPT_TENANTS: Final = 64


class Explainer:
    """Answers for one plan. The order of a tenant's waiting workloads is worked out at most once a second, because it
    costs as much as there are of them."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._ranks: dict[str, tuple[float, list[tuple[int, int]]]] = {}

    def explain(self, tenant: str, workload_id: str, now: Now) -> Explanation | None:
        """Why it waits; None for a workload that the tenant does not have here, or that has ended."""
        job = self._plan.jobs.get(workload_id)
        if job is None or job.tenant != tenant:
            return None
        if job.phase == "running":
            return Explanation(pending_reason=f"Running on node {job.node}.")
        if job.phase == "assigned":
            return Explanation(pending_reason=f"Given to node {job.node}; it starts there.")
        return Explanation(pending_reason=self._why(job, now), position=self._position(job, now))

    def _why(self, job: Job, now: Now) -> str:
        if not job.queued:
            return "Being given up: it waited longer than its queue TTL."
        if job.not_before is not None and job.not_before > now.wall:
            until = datetime.fromtimestamp(job.not_before, UTC).isoformat(timespec="milliseconds")
            return f"Backing off until {until}; then comes attempt {job.attempt}."
        lane = self._plan.board.lanes.get(job.need)
        if lane is None:
            return "About to be queued."
        if isinstance(lane.route, NoRoute):
            return f"Waiting for a node: {lane.route.reason}."
        tenants = self._plan.tenants
        if tenants.capped(job.tenant):
            return f"Waiting for the tenant's limit: {tenants.max_running(job.tenant)} workloads at once."
        pool = self._plan.board.pools[lane.route.isolation]
        if lane.blocked_at != pool.epoch:
            return "Waiting for its turn; it is being looked at."
        nodes = [node for node in pool.nodes.values() if able(node, job.need)]
        where = (
            f"none of {len(nodes)} {pool.isolation} nodes has" if len(nodes) != 1 else f"node {nodes[0].name} has not"
        )
        reason = f"Waiting for capacity: {where} {job.need.size} free."
        reservation = pool.reservation
        if reservation is not None and reservation.job is job:
            reason += f" Node {reservation.node} is being kept free for it."
        return reason

    def _position(self, job: Job, now: Now) -> int:
        cached = self._ranks.get(job.tenant)
        if cached is None or cached[0] <= now.mono or not _holds(cached[1], job.rank):
            lines = (lane.lines.get(job.tenant) for lane in self._plan.board.lanes.values())
            ranks = sorted(waiting.rank for line in lines if line is not None for waiting in line.jobs.values())
            if len(self._ranks) >= _KEPT_TENANTS:
                self._ranks.clear()
            kept_s = _KEPT_S if len(ranks) > 1000 else 0.0
            cached = self._ranks[job.tenant] = (now.mono + kept_s, ranks)
        return bisect.bisect_left(cached[1], job.rank) + 1


def _holds(ranks: list[tuple[int, int]], rank: tuple[int, int]) -> bool:
    at = bisect.bisect_left(ranks, rank)
    return at < len(ranks) and ranks[at] == rank
