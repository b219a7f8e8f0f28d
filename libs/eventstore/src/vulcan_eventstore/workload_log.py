"""The log of each workload: read it, and append to it what a command decides.

An append carries the sequence of the workload's last event; the server refuses it if another came first. When the
outcome is unknown the log itself is asked: the event's own id on it means that it was stored. So a command takes
effect once, whatever is killed or cut when.
"""

import time
from typing import Final, Protocol

from vulcan_contracts import subjects
from vulcan_contracts.commands import Command, Submit
from vulcan_contracts.errors import DomainError
from vulcan_contracts.events import Recorded, decode_envelope
from vulcan_contracts.workload import fold
from vulcan_eventstore import jetstream, metrics
from vulcan_eventstore.backoff import Backoff, patiently, within
from vulcan_eventstore.connection import Bus
from vulcan_eventstore.errors import BusClosedError, EventStoreUnavailableError, StaleWriteError
from vulcan_eventstore.jetstream import PubAck, Stored
from vulcan_eventstore.proposal import Executed, Proposal, Tracked
from vulcan_eventstore.traces import TRACEPARENT

__all__ = ["EventLog", "Executed", "Tracked", "WorkloadLog"]

_PAGE: Final = 1000


class EventLog(Protocol):
    """What `WorkloadLog` and `MemoryWorkloadLog` both are."""

    async def load(self, tenant: str, workload_id: str, *, deadline_s: float = 5.0) -> Tracked | None:
        """The workload as the log has it now, strongly consistent; None if it was never submitted.

        Raises:
            EventStoreUnavailableError: NATS did not answer by the deadline.
        """
        ...

    async def history(self, tenant: str, workload_id: str, *, deadline_s: float = 5.0) -> list[Recorded]:
        """Every event of the workload, oldest first, strongly consistent.

        Raises:
            EventStoreUnavailableError: NATS did not answer by the deadline.
        """
        ...

    async def execute(
        self,
        tenant: str,
        workload_id: str,
        command: Command,
        *,
        actor: str,
        known: Tracked | None = None,
        deadline_s: float = 10.0,
    ) -> Executed:
        """Decide the command on the current state and append what it causes.

        Args:
            tenant: whose workload it is.
            workload_id: which one.
            command: what is asked.
            actor: who asks, as events say it.
            known: a state that the caller has at hand; saves the read when it is current, and is harmless when not.
            deadline_s: how long to try while NATS is away or others write in between.

        Raises:
            DomainError: the current state does not allow it.
            EventStoreUnavailableError: not done by the deadline; it may have been or not, and a repeat is safe.
        """
        ...


class WorkloadLog:
    """The log of every workload, on JetStream."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def load(self, tenant: str, workload_id: str, *, deadline_s: float = 5.0) -> Tracked | None:
        """See `EventLog.load`."""
        return _tracked(await self.history(tenant, workload_id, deadline_s=deadline_s))

    async def history(self, tenant: str, workload_id: str, *, deadline_s: float = 5.0) -> list[Recorded]:
        """See `EventLog.history`."""
        return await within(deadline_s, self._history_patiently(tenant, workload_id))

    async def _history(self, tenant: str, workload_id: str) -> list[Recorded]:
        fence = subjects.workload_events(tenant, workload_id)
        if self._bus.settings.replicas == 1:
            return await self._read(fence)
        newest = await jetstream.leader_last(self._bus, subjects.EVENTS_STREAM, fence)
        if newest is None:
            return []
        return await within(self._bus.settings.request_timeout_s, self._read_up_to(fence, newest.seq))

    async def _read_up_to(self, fence: str, seq: int) -> list[Recorded]:
        backoff = Backoff()
        while True:
            events = await self._read(fence)
            if events and events[-1].seq >= seq:
                return events
            await backoff.pause()  # a replica answered that has yet to catch up with its leader

    async def _read(self, fence: str) -> list[Recorded]:
        # The last event of each type is one index look-up per type, four times as fast as a search for the next event
        # of the workload. Most workloads have each type once; the version of the last one tells.
        stored = await jetstream.direct_last_of_each(self._bus, subjects.EVENTS_STREAM, fence)
        events = [_recorded(each) for each in stored]
        if not events or events[-1].envelope.version == len(events):
            return events
        return await self._read_from(fence, events[0].seq)

    async def _read_from(self, fence: str, seq: int) -> list[Recorded]:
        events: list[Recorded] = []
        while True:
            page = await jetstream.direct_many(self._bus, subjects.EVENTS_STREAM, fence, from_seq=seq, limit=_PAGE)
            events += [_recorded(each) for each in page]
            if not page or page[-1].headers.get("Nats-Num-Pending") == "0":
                return events
            seq = page[-1].seq + 1

    async def execute(
        self,
        tenant: str,
        workload_id: str,
        command: Command,
        *,
        actor: str,
        known: Tracked | None = None,
        deadline_s: float = 10.0,
    ) -> Executed:
        """See `EventLog.execute`."""
        started = time.perf_counter()
        proposal: Proposal | None = None
        refused = False
        try:
            if known is not None or isinstance(command, Submit):
                try:
                    proposal = Proposal.of(known, command, tenant=tenant, workload_id=workload_id, actor=actor)
                except DomainError:
                    proposal = None  # on a state that may be old; the log says
            if proposal is not None and self._bus.connected:
                # As a rule this is all. A request has a deadline of its own; what follows needs one around it.
                try:
                    ack = await self._publish(proposal, min(deadline_s, self._bus.settings.request_timeout_s))
                except StaleWriteError:
                    refused = True
                except BusClosedError:
                    raise
                except EventStoreUnavailableError:
                    metrics.RETRIES.labels("append").inc()
                else:
                    return proposal.at(ack.seq)
            left_s = max(0.0, started + deadline_s - time.perf_counter())
            return await within(left_s, self._execute(tenant, workload_id, command, actor, proposal, refused=refused))
        finally:
            metrics.APPEND_SECONDS.observe(time.perf_counter() - started)

    async def _execute(
        self, tenant: str, workload_id: str, command: Command, actor: str, proposal: Proposal | None, *, refused: bool
    ) -> Executed:
        """Until it is done. First what is proposed already: it may be stored, unless it was refused."""
        backoff = Backoff(first_s=0.002, longest_s=0.1)  # somebody got through each time: no reason to wait long
        while True:
            if proposal is not None and not refused:
                ack = await self._append(proposal)
                if ack is not None:
                    return proposal.at(ack.seq)
            events = await self._history_patiently(tenant, workload_id)
            known = _tracked(events)
            if proposal is not None:
                mine = next((event for event in events if event.envelope.id == proposal.envelope.id), None)
                if mine is not None and known is not None:
                    return Executed(known, mine)
                metrics.FENCE_CONFLICTS.inc()
                await backoff.pause()
            proposal, refused = Proposal.of(known, command, tenant=tenant, workload_id=workload_id, actor=actor), False
            if proposal is None:
                if known is None:
                    raise AssertionError("only a workload that exists makes a command a harmless repeat")
                return Executed(known, None)

    async def _append(self, proposal: Proposal) -> PubAck | None:
        """The acknowledgement; None when the log has moved on, perhaps by this very event."""
        # Where the outcome is unknown: the same id on the same fence again is stored only if the first time was not.
        try:
            return await patiently(self._bus, "append", lambda: self._publish(proposal))
        except StaleWriteError:
            return None

    async def _publish(self, proposal: Proposal, timeout_s: float | None = None) -> PubAck:
        envelope = proposal.envelope
        headers = {
            jetstream.MSG_ID: envelope.id,
            jetstream.EXPECTED_SEQ: str(proposal.expected_seq),
            jetstream.EXPECTED_SEQ_SUBJECT: subjects.workload_events(envelope.tenant, envelope.workload_id),
        }
        if envelope.traceparent is not None:
            headers[TRACEPARENT] = envelope.traceparent
        return await jetstream.publish(
            self._bus, proposal.subject, proposal.payload, headers=headers, timeout_s=timeout_s
        )

    async def _history_patiently(self, tenant: str, workload_id: str) -> list[Recorded]:
        return await patiently(self._bus, "load", lambda: self._history(tenant, workload_id))


def _recorded(stored: Stored) -> Recorded:
    return Recorded(seq=stored.seq, envelope=decode_envelope(stored.data))


def _tracked(events: list[Recorded]) -> Tracked | None:
    state = fold(events)
    return None if state is None else Tracked(state, events[-1].seq)
