"""A small world for the scheduler's plan: a log that obeys the contracts, nodes that send heartbeats, one clock."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from vulcan_contracts import commands
from vulcan_contracts.commands import Command
from vulcan_contracts.decisions import decide
from vulcan_contracts.errors import DomainError
from vulcan_contracts.events import Envelope, Recorded, encode_data, type_name
from vulcan_contracts.nodes import BackendReport, Capacity, Heartbeat, NodeState
from vulcan_contracts.outcome import Outcome
from vulcan_contracts.reasons import Reason
from vulcan_contracts.spec import Backend, InlineSource, Resources, Spec
from vulcan_contracts.workload import Workload, evolve
from vulcan_scheduler.domain.board import Limits
from vulcan_scheduler.domain.explain import Explainer
from vulcan_scheduler.domain.now import Now
from vulcan_scheduler.domain.orders import Chore, Lose, Release
from vulcan_scheduler.domain.plan import Plan

RUNTIMES: dict[Backend, list[str]] = {
    "v8": ["javascript", "typescript"],
    "gvisor": ["javascript", "typescript", "python", "node", "go", "shell"],
    "microvm": ["javascript", "typescript", "python", "node", "go", "shell"],
}
EPOCH = 1_800_000_000.0


def spec(*, cpus: float = 1.0, memory_mb: int = 128, **changes: Any) -> Spec:
    """A small JavaScript workload."""
    changes.setdefault("source", InlineSource(code="1"))
    changes.setdefault("runtime", "javascript")
    return Spec(resources=Resources(cpus=cpus, memory_mb=memory_mb), **changes)


def heartbeat(
    node: str,
    incarnation: str = "in_1",
    *,
    isolation: Backend = "v8",
    slots: int = 4,
    cpus: float = 64.0,
    memory_mb: int = 65_536,
    state: NodeState = "ready",
    interval_s: float = 1.0,
    **report: Any,
) -> Heartbeat:
    """A node that works and has room."""
    report.setdefault("available", True)
    report.setdefault("runtimes", RUNTIMES[isolation])
    report.setdefault("images", isolation != "v8")
    return Heartbeat(
        node=node,
        incarnation=incarnation,
        state=state,
        time=datetime.fromtimestamp(EPOCH, UTC),
        version="1",
        backend=BackendReport(isolation=isolation, **report),
        capacity=Capacity(cpus=cpus, memory_mb=memory_mb, slots=slots),
        used=Capacity(cpus=0, memory_mb=0, slots=0),
        interval_s=interval_s,
    )


class World:
    """A plan with everything around it played by the test."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.plan = Plan(limits or Limits())
        self.time = 0.0
        self.states: dict[str, Workload] = {}
        self.seqs: dict[str, int] = {}
        self.log: list[Recorded] = []
        self.plan.activate(self.now)
        self.plan.chores(self.now)

    @property
    def now(self) -> Now:
        return Now(self.time, EPOCH + self.time)

    @property
    def moment(self) -> datetime:
        return datetime.fromtimestamp(EPOCH + self.time, UTC)

    def append(self, workload_id: str, command: Command, *, tenant: str = "a") -> Recorded | None:
        """Put on the log what the command decides, without telling the plan."""
        state = self.states.get(workload_id)
        data = decide(state, command)
        if data is None:
            return None
        envelope = Envelope(
            id=f"ev_{len(self.log)}",
            type=type_name(data),
            workload_id=workload_id,
            tenant=state.tenant if state else tenant,
            actor="test",
            time=self.moment,
            version=state.version + 1 if state else 1,
            attempt=state.attempt if state else 1,
            data=encode_data(data),
        )
        recorded = Recorded(seq=len(self.log) + 1, envelope=envelope)
        self.log.append(recorded)
        self.states[workload_id] = evolve(state, envelope, data)
        self.seqs[workload_id] = recorded.seq
        return recorded

    def tell(self, workload_id: str, command: Command, *, tenant: str = "a") -> None:
        """Put on the log what the command decides, and let the plan fold it."""
        recorded = self.append(workload_id, command, tenant=tenant)
        if recorded is not None:
            self.plan.apply(recorded, self.now)

    def submit(self, workload_id: str, tenant: str = "a", **changes: Any) -> None:
        self.tell(workload_id, commands.Submit(spec=spec(**changes), fingerprint="f"), tenant=tenant)

    def beat(self, node: str, incarnation: str = "in_1", **changes: Any) -> None:
        self.plan.hear(heartbeat(node, incarnation, **changes), self.now)

    def release(self) -> Release | None:
        """Let the plan release one workload, and the append succeed."""
        release = self.plan.next_release(self.now)
        if release is not None:
            self.carry_out(release)
        return release

    def carry_out(self, release: Release) -> None:
        """Append the release, or find on the log why not, as the releaser does."""
        command = commands.Schedule(
            isolation=release.isolation,
            isolation_reason=release.reason,
            node=release.node,
            incarnation=release.incarnation,
        )
        recorded = None
        with suppress(DomainError):
            recorded = self.append(release.workload_id, command)
        self.plan.absorb(self.states[release.workload_id], self.seqs[release.workload_id], self.now)
        if recorded is not None:
            self.plan.apply(recorded, self.now)

    def release_all(self) -> list[Release]:
        found = []
        while (release := self.release()) is not None:
            found.append(release)
        return found

    def start(self, workload_id: str) -> None:
        state = self.states[workload_id]
        assert state.node is not None
        assert state.incarnation is not None
        self.tell(
            workload_id,
            commands.Start(node=state.node, incarnation=state.incarnation, attempt=state.attempt),
        )

    def end(self, workload_id: str, reason: Reason | None = None) -> None:
        state = self.states[workload_id]
        assert state.node is not None
        assert state.incarnation is not None
        self.tell(
            workload_id,
            commands.End(
                node=state.node,
                incarnation=state.incarnation,
                attempt=state.attempt,
                outcome=Outcome(reason=reason),
                at=self.moment,
            ),
        )

    def run(self, workload_id: str) -> None:
        self.start(workload_id)
        self.end(workload_id)

    def chores(self) -> list[Chore]:
        return self.plan.chores(self.now)

    def lose(self, chore: Lose) -> None:
        recorded = self.append(
            chore.workload_id,
            commands.LoseExecutor(
                node=chore.node, incarnation=chore.incarnation, attempt=chore.attempt, at=self.moment, last_line=1
            ),
        )
        state = self.states[chore.workload_id]
        self.plan.absorb(state, self.seqs[chore.workload_id], self.now)
        if recorded is not None:
            self.plan.apply(recorded, self.now)

    def why(self, workload_id: str, tenant: str = "a") -> str:
        answer = Explainer(self.plan).explain(tenant, workload_id, self.now)
        return "" if answer is None else answer.pending_reason

    def idle(self) -> bool:
        """Nothing is counted anywhere: what the accounts must come back to once every workload has ended."""
        plan = self.plan
        plan.chores(self.now)
        return (
            not plan.jobs
            and not plan.board.lanes
            and not plan.tenants.loads
            and not plan.in_hand
            and all(node.holder.used == (0, 0, 0) and not node.holder.jobs for node in plan.registry.nodes.values())
            and all(not pool.lanes and pool.reservation is None for pool in plan.board.pools.values())
        )
