"""Waiting workloads, grouped by need: those in one lane fit, or do not fit, together.

Inside a lane each tenant has its own line, by priority and then first come, first served. So a large workload that
fits nowhere holds up its own lane only, and a decision looks at one workload a lane instead of at all of them.
"""

import heapq

from vulcan_scheduler.domain.job import Job
from vulcan_scheduler.domain.need import Need
from vulcan_scheduler.domain.routing import NoRoute, Route


class Line:
    """One tenant's waiting workloads of one need."""

    __slots__ = ("_heap", "_jobs")

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        self._heap: list[tuple[tuple[int, int], str]] = []

    def __len__(self) -> int:
        return len(self._jobs)

    @property
    def jobs(self) -> dict[str, Job]:
        """All of them by id, in no particular order."""
        return self._jobs

    def add(self, job: Job) -> None:
        """Let a workload join where its rank puts it."""
        self._jobs[job.id] = job
        heapq.heappush(self._heap, (job.rank, job.id))

    def discard(self, job: Job) -> None:
        """Take a workload out, wherever it stands."""
        if self._jobs.pop(job.id, None) is not None and len(self._heap) > 2 * len(self._jobs) + 64:
            self._heap = [(job.rank, job.id) for job in self._jobs.values()]
            heapq.heapify(self._heap)

    def head(self) -> Job | None:
        """The next one."""
        heap = self._heap
        while heap:
            job = self._jobs.get(heap[0][1])
            if job is not None:
                return job
            heapq.heappop(heap)
        return None


class Lane:
    """Everything that waits with one need.

    blocked_at: the pool's epoch in which it was found to fit nowhere. blocked_since: when it began not to fit, and
    blocked_releases: how many releases the pool had made by then, which tells whether others went past it since.
    """

    __slots__ = ("amount", "blocked_at", "blocked_releases", "blocked_since", "lines", "need", "route", "turns")

    def __init__(self, need: Need, route: Route | NoRoute) -> None:
        self.need = need
        self.amount = need.amount
        self.route = route
        self.lines: dict[str, Line] = {}
        self.turns: list[tuple[float, float, str, int]] = []
        self.blocked_at = -1
        self.blocked_since: float | None = None
        self.blocked_releases = 0

    def add(self, job: Job) -> bool:
        """Let a workload wait here; True if its tenant had none in this lane."""
        line = self.lines.get(job.tenant)
        if line is None:
            line = self.lines[job.tenant] = Line()
        line.add(job)
        return len(line) == 1

    def discard(self, job: Job) -> bool:
        """Take a workload out; True if its tenant has none left in this lane."""
        line = self.lines.get(job.tenant)
        if line is None:
            return False
        line.discard(job)
        if line:
            return False
        del self.lines[job.tenant]
        return True

    def head(self, tenant: str) -> Job | None:
        """The tenant's next workload in this lane."""
        line = self.lines.get(tenant)
        return None if line is None else line.head()

    def block(self, epoch: int, releases: int, mono: float) -> None:
        """Note that nothing of this lane fits anywhere for now."""
        self.blocked_at = epoch
        if self.blocked_since is None:
            self.blocked_since = mono
            self.blocked_releases = releases

    def unblock(self) -> None:
        """Note that something of this lane was released, or that its nodes are others now."""
        self.blocked_at = -1
        self.blocked_since = None
