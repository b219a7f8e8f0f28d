"""An attempt's place on the event log: taking it, seeing that it still is ours, ending it."""

import asyncio
import time
from typing import Final, Literal

import msgspec
from msgspec import Struct

from vulcan_chassis import logs
from vulcan_contracts.clock import utc_now
from vulcan_contracts.commands import Command, End, LoseExecutor, Start
from vulcan_contracts.errors import DomainError
from vulcan_contracts.outcome import Outcome
from vulcan_contracts.reasons import Reason
from vulcan_contracts.workload import Workload
from vulcan_eventstore.errors import BusClosedError, EventStoreUnavailableError, PayloadTooLargeError
from vulcan_eventstore.workload_log import EventLog, Executed, Tracked

_PAUSE_S: Final = 0.5

Standing = Literal["ours", "to_be_killed", "gone"]


class NodeIdentity(Struct, frozen=True, kw_only=True):
    """One life of a node."""

    node: str
    incarnation: str

    @property
    def actor(self) -> str:
        """Who appends, as events say it."""
        return f"executor:{self.node}"


class LostTouchError(Exception):
    """The event log was away for so long that this incarnation gives up; the next one starts clean."""


class AttemptGoneError(Exception):
    """The log says that the attempt is not ours any more."""


class Attempt:
    """One attempt, given to this life of this node.

    known: the state in which it was given, where that is on the log already; it saves reading the log.
    """

    def __init__(
        self,
        workload: Workload,
        *,
        known: Tracked | None = None,
        log: EventLog,
        me: NodeIdentity,
        command_deadline_s: float,
        give_up_after_s: float,
    ) -> None:
        self.workload = workload
        self._known = known
        self._number = workload.attempt
        self._log = log
        self._me = me
        self._deadline_s = command_deadline_s
        self._give_up_after_s = give_up_after_s

    @property
    def key(self) -> tuple[str, int]:
        """What tells it from every other attempt."""
        return self.workload.id, self._number

    @property
    def ours(self) -> bool:
        """True if the assignment was made for this life of the node and not for one before."""
        return self.workload.held_by(self._me.node, self._me.incarnation)

    def assigned(self, known: Tracked) -> None:
        """It is on the log now that the attempt was given to us."""
        self.workload = known.state
        self._known = known

    async def start(self, image_digest: str | None) -> bool:
        """Append `started`. False if the attempt is not ours to start (any more).

        Raises:
            LostTouchError: nobody could say for too long.
        """
        command = Start(
            node=self._me.node, incarnation=self._me.incarnation, attempt=self._number, image_digest=image_digest
        )
        give_up = time.monotonic() + self._give_up_after_s
        in_doubt = False
        while True:
            try:
                return await self._start(command, in_doubt=in_doubt)
            except BusClosedError:
                raise
            except EventStoreUnavailableError as error:
                in_doubt = True
                self._known = None
                await _pause(give_up, error)

    async def _start(self, command: Start, *, in_doubt: bool) -> bool:
        try:
            executed = await self._execute(command)
        except DomainError as refusal:
            if in_doubt and await self.standing() != "gone":
                return True  # an earlier try was stored, and its acknowledgement lost
            logs.get().info("attempt not ours to start", refusal=str(refusal))
            return False
        self._known = executed.tracked
        return True

    async def standing(self) -> Standing:
        """Whether the log still has this attempt running here.

        Raises:
            EventStoreUnavailableError: the log does not answer.
        """
        tracked = await self._log.load(self.workload.tenant, self.workload.id)
        if tracked is None:
            return "gone"
        state = tracked.state
        if state.state != "running" or state.attempt != self._number:
            return "gone"
        if not state.held_by(self._me.node, self._me.incarnation):
            return "gone"
        self._known = tracked
        return "to_be_killed" if state.kill_requested else "ours"

    async def end(self, outcome: Outcome) -> bool:
        """Append the end. False if the log does not take it from us: the attempt was given up, or its end is there.

        Raises:
            LostTouchError: the log was away for too long.
        """
        give_up = time.monotonic() + self._give_up_after_s
        at = utc_now()
        in_doubt = False
        while True:
            command = End(
                node=self._me.node, incarnation=self._me.incarnation, attempt=self._number, outcome=outcome, at=at
            )
            try:
                await self._execute(command)
            except DomainError as refusal:
                if in_doubt and await self._has_ended_with(outcome):
                    return True  # an earlier try was stored, and its acknowledgement lost
                logs.get().warning("end refused", refusal=str(refusal))
                return False
            except PayloadTooLargeError:
                outcome = _without_bulk(outcome)
            except BusClosedError:
                raise
            except EventStoreUnavailableError as error:
                in_doubt = True
                self._known = None
                await _pause(give_up, error)
            else:
                return True

    async def lose(self, last_line: int) -> None:
        """Append that the attempt is lost, unless the log says already what became of it.

        Raises:
            LostTouchError: the log was away for too long.
        """
        command = LoseExecutor(
            node=self._me.node,
            incarnation=self._me.incarnation,
            attempt=self._number,
            at=utc_now(),
            last_line=last_line,
        )
        give_up = time.monotonic() + self._give_up_after_s
        while True:
            try:
                await self._execute(command)
            except BusClosedError:
                raise
            except EventStoreUnavailableError as error:
                self._known = None
                await _pause(give_up, error)
            else:
                return

    async def _execute(self, command: Command) -> Executed:
        return await self._log.execute(
            self.workload.tenant,
            self.workload.id,
            command,
            actor=self._me.actor,
            known=self._known,
            deadline_s=self._deadline_s,
        )

    async def _has_ended_with(self, outcome: Outcome) -> bool:
        """Whether what the log says of the last attempt that ended is what we said."""
        try:
            tracked = await self._log.load(self.workload.tenant, self.workload.id)
        except EventStoreUnavailableError:
            return False
        return tracked is not None and tracked.state.outcome == outcome


def _without_bulk(outcome: Outcome) -> Outcome:
    if outcome.result is None and not outcome.artifacts:
        raise ValueError("an outcome without result and artifacts is too large for the event log")
    message = "The result and the list of artifacts are too large to be kept."
    return msgspec.structs.replace(outcome, reason=Reason.OUTPUT_LIMIT, message=message, result=None, artifacts=[])


async def _pause(give_up: float, error: EventStoreUnavailableError) -> None:
    if time.monotonic() > give_up:
        raise LostTouchError("the event log was away for too long") from error
    await asyncio.sleep(_PAUSE_S)
