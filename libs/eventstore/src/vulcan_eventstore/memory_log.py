"""The log of each workload in memory, for tests of what is built on it; it passes `WorkloadLog`'s tests."""

from vulcan_contracts.commands import Command
from vulcan_contracts.events import Recorded, decode_envelope
from vulcan_contracts.workload import fold
from vulcan_eventstore.proposal import Executed, Proposal, Tracked


class MemoryWorkloadLog:
    """An `EventLog` that lives and dies with the process. `events` is the whole log, oldest first."""

    def __init__(self) -> None:
        self.events: list[Recorded] = []

    async def load(self, tenant: str, workload_id: str, *, deadline_s: float = 5.0) -> Tracked | None:  # noqa: ARG002
        """See `EventLog.load`; there is nothing to wait for."""
        events = await self.history(tenant, workload_id)
        state = fold(events)
        return None if state is None else Tracked(state, events[-1].seq)

    async def history(self, tenant: str, workload_id: str, *, deadline_s: float = 5.0) -> list[Recorded]:  # noqa: ARG002
        """See `EventLog.history`; there is nothing to wait for."""
        return [e for e in self.events if e.envelope.workload_id == workload_id and e.envelope.tenant == tenant]

    async def execute(
        self,
        tenant: str,
        workload_id: str,
        command: Command,
        *,
        actor: str,
        known: Tracked | None = None,  # noqa: ARG002 - reading costs nothing here
        deadline_s: float = 10.0,  # noqa: ARG002 - nothing to wait for
    ) -> Executed:
        """See `EventLog.execute`."""
        tracked = await self.load(tenant, workload_id)
        proposal = Proposal.of(tracked, command, tenant=tenant, workload_id=workload_id, actor=actor)
        if proposal is None:
            if tracked is None:
                raise AssertionError("only a workload that exists makes a command a harmless repeat")
            return Executed(tracked, None)
        seq = len(self.events) + 1
        self.events.append(Recorded(seq=seq, envelope=decode_envelope(proposal.payload)))
        return proposal.at(seq)
