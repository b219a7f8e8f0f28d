"""The scheduler's whole mind: what waits, what runs where, and what is to be done next.

It hears events, heartbeats, quotas and drain flags, and answers `next_release` and `chores`. What it orders it counts
as done at once, so that the next decision sees it; the log corrects it (`apply`, `absorb`, `failed`). Every workload
that has not ended is in one of three places: queued in a lane or in backoff, placed on a node's life, or in hand,
which is an order being carried out.
"""

from collections import deque
from collections.abc import Iterable, Iterator

from vulcan_contracts.events import Recorded, Submitted
from vulcan_contracts.nodes import Heartbeat
from vulcan_contracts.spec import Backend
from vulcan_contracts.tenants import Quotas
from vulcan_contracts.workload import Workload, evolve
from vulcan_scheduler.domain.board import Board, Limits
from vulcan_scheduler.domain.fold import Step, opened, step, step_to
from vulcan_scheduler.domain.job import Job
from vulcan_scheduler.domain.nodes import Holder, Node, Registry
from vulcan_scheduler.domain.now import Now
from vulcan_scheduler.domain.orders import Chore, Expire, Lose, Offer, Release, Withdraw
from vulcan_scheduler.domain.regiving import place_again
from vulcan_scheduler.domain.tenants import Tenants
from vulcan_scheduler.domain.timers import Timers


class Counters:
    """What has happened since the process started."""

    __slots__ = ("expired_dispatches", "lost_nodes", "releases", "reservations")

    def __init__(self) -> None:
        self.releases = 0
        self.expired_dispatches = 0
        self.lost_nodes = 0
        self.reservations = 0


class Plan:
    """See the module. Not safe for threads; every method returns at once."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.seq = 0
        self.jobs: dict[str, Job] = {}
        self.tenants = Tenants(limits.default_max_running)
        self.registry = Registry(missed_heartbeats=limits.missed_heartbeats, lost_after_s=limits.lost_after_s)
        self.counters = Counters()
        self.in_hand: set[str] = set()
        self.board = Board(limits, self.registry, self.tenants)
        self._suspects = Timers()
        self._next_node_check = 0.0
        self._offer_all = False
        self._withdraw: list[str] = []
        self._again: deque[Release] = deque()
        self._kept_bytes = 0

    # What is heard.

    def apply(self, recorded: Recorded, now: Now) -> None:
        """Fold the next event of the log. One that is known already changes nothing."""
        self.seq = max(self.seq, recorded.seq)
        envelope = recorded.envelope
        job = self.jobs.get(envelope.workload_id)
        if job is None:
            data = recorded.data if envelope.type == "submitted" else None
            if isinstance(data, Submitted):
                job = opened(recorded, data, keep_state=self._keeps(len(bytes(envelope.data))))
                self._open(job, now)
            return
        if envelope.version <= job.version:
            return
        after = step(job, recorded)
        if after.ended:
            self._close(job, envelope.time.timestamp())
            return
        if job.state is not None:
            job.state = evolve(job.state, envelope, recorded.data)
        job.version, job.seq = envelope.version, recorded.seq
        self._move(job, after, now, moved_at=envelope.time.timestamp())

    def absorb(self, state: Workload, seq: int, now: Now) -> None:
        """Take over what the log says of a workload, as an append or a load has just shown it. Ends its order."""
        self.in_hand.discard(state.id)
        job = self.jobs.get(state.id)
        if job is None:
            return
        if state.version > job.version:
            if state.ended:
                self._close(job, now.wall if state.ended_at is None else state.ended_at.timestamp())
                return
            job.version, job.seq = state.version, seq
            if job.state is not None:
                job.state = state
            self._move(job, step_to(job, state), now, moved_at=now.wall)
        elif job.phase == "waiting" and not job.queued:
            self.board.take_up(job, now)

    def hear(self, heartbeat: Heartbeat, now: Now) -> None:
        """Take a node's sign of life."""
        holder = self.board.holder(heartbeat.node, heartbeat.incarnation, now)
        if self.registry.hear(heartbeat, holder, now.mono):
            if heartbeat.state == "stopped":
                self._withdraw.append(heartbeat.node)
            self.board.set_nodes()
            self._next_node_check = 0.0

    def set_drained(self, names: Iterable[str]) -> None:
        """Take over which nodes the operators drain."""
        if self.registry.set_drained(frozenset(names)):
            self.board.set_nodes()

    def set_quotas(self, tenant: str, quotas: Quotas | None) -> None:
        """Take over what a tenant may have; None: nothing particular."""
        self.board.set_quotas(tenant, quotas)

    def activate(self, now: Now) -> None:
        """Begin to decide. Whatever was in hand when it was last decided here is in nobody's hands."""
        self._again.clear()
        for name in list(self.in_hand):
            self.failed(name, now)
        self.resume(now)

    def resume(self, now: Now) -> None:
        """Decide on after a time in which nobody could be heard, and after which no queue is sure to hold anything:
        the silence of nodes counts from now on, and what they have not started is offered to them again."""
        self.registry.watch_from(now.mono)
        self._next_node_check = 0.0
        self._offer_all = True

    def restore(self, jobs: Iterable[Job], seq: int, now: Now) -> None:
        """Take over a checkpoint, in a plan that knows nothing yet."""
        for job in jobs:
            phase, holder = job.phase, (job.node, job.incarnation)
            job.phase, job.queued = "waiting", False
            job.node = job.incarnation = None
            if job.state is not None:
                self._kept_bytes += job.state_bytes
            self.jobs[job.id] = job
            after = Step(job)
            if phase != "waiting" and holder[0] is not None and holder[1] is not None:
                after.holder, after.running = (holder[0], holder[1]), phase == "running"
            self._move(job, after, now, moved_at=now.wall)
        self.seq = seq

    # What is to be done.

    def next_release(self, now: Now) -> Release | None:
        """The next workload to give to a node, counted as given from here on; None if nothing that waits fits."""
        self.board.wake_backoffs(self.jobs, now)
        while self._again:
            release = self._again.popleft()
            if release.workload_id in self.jobs:
                return release
            self.in_hand.discard(release.workload_id)  # it has ended meanwhile
        for pool in self.board.pools.values():
            if not pool.lanes:
                continue
            pick = pool.pick(now.mono)
            if pick is None:
                continue
            pool.picked(pick)
            self.board.unqueue(pick.job)
            return self._release(pick.job, pick.node, pool.isolation, pick.lane.route.reason, now)
        return None

    def failed(self, workload_id: str, now: Now) -> None:
        """An order came to nothing, and nobody knows whether the log holds it: it is taken up again."""
        self.in_hand.discard(workload_id)
        job = self.jobs.get(workload_id)
        if job is None:
            return
        if job.phase == "assigned":
            self._requeue(job, now)
        elif job.phase == "waiting" and not job.queued:
            self.board.take_up(job, now)

    def forget(self, workload_id: str, now: Now) -> None:
        """The log has no such workload, or it has ended."""
        self.in_hand.discard(workload_id)
        job = self.jobs.get(workload_id)
        if job is not None:
            self._close(job, now.wall)

    def chores(self, now: Now) -> list[Chore]:
        """What has come due besides releases; whose end it may be is in hand until it is absorbed or has failed."""
        self.board.wake_backoffs(self.jobs, now)
        found: list[Chore] = []
        if self._offer_all:
            self._offer_all = False
            found.extend(self._offers(now))
        self._expire_dispatches(now)
        for name in self.board.expiries.pop_due(now.wall):
            job = self.jobs.get(name)
            if job is not None and job.queued:
                self.board.unqueue(job)
                self.in_hand.add(job.id)
                found.append(Expire(workload_id=job.id, tenant=job.tenant, traceparent=job.traceparent))
        for _ in self._suspects.pop_due(now.mono):
            self.board.room()
        if now.mono >= self._next_node_check:
            self._next_node_check = now.mono + self.limits.node_check_interval_s
            found.extend(self._check_nodes(now))
        return found

    def next_wake(self, now: Now) -> float:
        """In how many seconds something may come due if nothing is heard."""
        waits = [self._next_node_check - now.mono]
        for timers, clock in (
            (self.board.backoffs, now.wall),
            (self.board.expiries, now.wall),
            (self.board.dispatches, now.mono),
            (self._suspects, now.mono),
        ):
            deadline = timers.next()
            if deadline is not None:
                waits.append(deadline - clock)
        return max(0.0, min(waits))

    def _open(self, job: Job, now: Now) -> None:
        self.jobs[job.id] = job
        if job.state is not None:
            self._kept_bytes += job.state_bytes
        self.board.queue(job, now)

    def _close(self, job: Job, ended_at: float) -> None:
        del self.jobs[job.id]
        if job.state is not None:
            self._kept_bytes -= job.state_bytes
        if job.queued:
            self.board.unqueue(job)
        if job.node is not None:
            self.board.displace(job, ended_at)

    def _move(self, job: Job, after: Step, now: Now, *, moved_at: float) -> None:
        """Bring a job that has not ended to where the log says it is."""
        job.attempt, job.not_before = after.attempt, after.not_before
        if after.holder is None or after.isolation is None:
            if job.node is not None:
                self.board.displace(job, moved_at)
            if job.queued:
                self.board.unqueue(job)
            job.phase = "waiting"
            if job.id not in self.in_hand:
                self.board.queue(job, now)
            return
        if (job.node, job.incarnation, job.isolation) != (*after.holder, after.isolation):
            if job.node is not None:
                self.board.displace(job, moved_at)
            if job.queued:
                self.board.unqueue(job)
            self.board.place(job, self.board.holder(*after.holder, now), after.isolation, now)
        job.assigned_at = after.assigned_at or now.wall
        if after.running:
            job.phase, job.offers = "running", 0
            self.board.dispatches.clear(job.id)
            self._trust(job.node)

    def _requeue(self, job: Job, now: Now) -> None:
        """Take an assigned job back: it will be scheduled again, wherever."""
        job.last_node = job.node
        self.board.displace(job, now.wall)
        self.board.queue(job, now)

    def _release(self, job: Job, node: Node, isolation: Backend, reason: str, now: Now) -> Release:
        """Count the job as given to the node, and order that it is."""
        waited_s = max(0.0, now.wall - job.waiting_since)
        job.offers += 1
        self.board.place(job, node.holder, isolation, now)
        job.assigned_at = now.wall
        self.in_hand.add(job.id)
        self.counters.releases += 1
        return Release(
            workload_id=job.id,
            tenant=job.tenant,
            isolation=isolation,
            reason=reason,
            node=node.name,
            incarnation=node.incarnation,
            state=job.state,
            seq=job.seq,
            waited_s=waited_s,
            traceparent=job.traceparent,
        )

    def _check_nodes(self, now: Now) -> Iterator[Chore]:
        lost = self.registry.expire(now.mono)
        if lost:
            self.counters.lost_nodes += len(lost)
            self._withdraw.extend(node.name for node in lost)
            self.board.set_nodes()
        for name in self._withdraw:
            if name not in self.registry.nodes:
                yield Withdraw(node=name)
        self._withdraw.clear()
        for holder in self.board.holders():
            if self.registry.verdict(holder, now.mono) == "lost":
                yield from self._lose(holder, now)
        for pool in self.board.pools.values():
            if pool.reserve(now.mono) is not None:
                self.counters.reservations += 1
            pool.fair.sweep()

    def _lose(self, holder: Holder, now: Now) -> Iterator[Chore]:
        """Take back what had not started; order the loss of what had."""
        for job in [self.jobs[name] for name in holder.jobs if name not in self.in_hand]:
            if job.phase == "running":
                self.in_hand.add(job.id)
                yield Lose(
                    workload_id=job.id,
                    tenant=job.tenant,
                    node=holder.node,
                    incarnation=holder.incarnation,
                    attempt=job.attempt,
                    traceparent=job.traceparent,
                )
            else:
                self._requeue(job, now)

    def _offers(self, now: Now) -> Iterator[Offer]:
        """What nodes that are there were given and have not started, as the log has it; their time begins anew."""
        for holder in self.board.holders():
            if self.registry.verdict(holder, now.mono) != "alive":
                continue
            for job in [self.jobs[name] for name in holder.jobs if name not in self.in_hand]:
                if job.phase == "assigned":
                    self.board.dispatches.set(job.id, now.mono + self.board.patience_s(job))
                    yield Offer(
                        workload_id=job.id,
                        tenant=job.tenant,
                        node=holder.node,
                        incarnation=holder.incarnation,
                        state=job.state,
                        seq=job.seq,
                    )

    def _expire_dispatches(self, now: Now) -> None:
        for name in self.board.dispatches.pop_due(now.mono):
            job = self.jobs.get(name)
            if job is None or job.phase != "assigned":
                continue
            if name in self.in_hand:
                self.board.dispatches.set(name, now.mono + self.board.patience_s(job))
                continue
            node = self.registry.nodes.get(job.node or "")
            if node is not None:
                node.suspect_until = now.mono + self.limits.dispatch_timeout_s
                self._suspects.set(node.name, node.suspect_until)
            self.counters.expired_dispatches += 1
            self._give_again(job, now)

    def _give_again(self, job: Job, now: Now) -> None:
        """Schedule an assigned job that nobody started once more.

        It had its turn, and the node that has it may start it until the log says otherwise; so it keeps counting in
        its tenant's quota instead of going back to the queue, if there is a place for it.
        """
        again, isolation = place_again(job, self.board, now), job.isolation
        if again is None or isolation is None:
            self._requeue(job, now)
            return
        job.last_node = job.node
        self.board.displace(job, now.wall)
        self._again.append(self._release(job, again.node, isolation, again.reason, now))

    def _trust(self, name: str | None) -> None:
        """A node that starts something lets no dispatch lie."""
        node = self.registry.nodes.get(name or "")
        if node is not None and node.suspect_until:
            node.suspect_until = 0.0
            self._suspects.clear(node.name)
            self.board.room()

    def _keeps(self, size_bytes: int) -> bool:
        return (
            size_bytes <= self.limits.keep_state_bytes and self._kept_bytes + size_bytes <= self.limits.keep_total_bytes
        )
