"""What a command means for a workload in a given state: the rules, pure, in one place.

A command becomes one event or none, never several: an append is then atomic without a batch.
"""

from datetime import datetime, timedelta
from typing import assert_never

from vulcan_contracts.commands import (
    Command,
    Delete,
    End,
    Expire,
    LoseExecutor,
    RequestKill,
    Schedule,
    Start,
    Submit,
)
from vulcan_contracts.errors import IdempotencyMismatch, IllegalTransition, NotYours, UnknownWorkload
from vulcan_contracts.events import (
    Completed,
    Deleted,
    EventData,
    Failed,
    Killed,
    KillRequested,
    Retrying,
    Scheduled,
    Started,
    Submitted,
)
from vulcan_contracts.outcome import Outcome
from vulcan_contracts.reasons import Reason
from vulcan_contracts.workload import Workload


def decide(state: Workload | None, command: Command) -> EventData | None:
    """The event that the command causes; None where it is a harmless repeat.

    Raises:
        IllegalTransition: the state does not allow it.
        NotYours: another executor, or another life of this one, holds the attempt.
        IdempotencyMismatch: a second submit under the same id asks for something else.
        UnknownWorkload: the workload was never submitted.
    """
    if isinstance(command, Submit):
        return _submit(state, command)
    if state is None:
        raise UnknownWorkload("There is no such workload.")
    match command:
        case Schedule():
            return _schedule(state, command)
        case Start():
            return _start(state, command)
        case End():
            return _end(state, command)
        case LoseExecutor():
            return _lose_executor(state, command)
        case RequestKill():
            return _request_kill(state)
        case Expire():
            return _expire(state, command)
        case Delete():
            return None if state.deleted else Deleted()
        case _:
            assert_never(command)


def _submit(state: Workload | None, command: Submit) -> Submitted | None:
    if state is None:
        return Submitted(spec=command.spec, fingerprint=command.fingerprint, replay_of=command.replay_of)
    if state.fingerprint != command.fingerprint:
        raise IdempotencyMismatch("The idempotency key was used before, with another body.")
    return None


def _schedule(state: Workload, command: Schedule) -> Scheduled:
    if state.state != "pending":
        raise IllegalTransition(f"A {state.state} workload cannot be scheduled.")
    return Scheduled(
        isolation=command.isolation,
        isolation_reason=command.isolation_reason,
        node=command.node,
        incarnation=command.incarnation,
    )


def _start(state: Workload, command: Start) -> Started:
    _check_holder(state, command.node, command.incarnation, command.attempt)
    if state.state != "pending" or state.isolation is None:
        raise IllegalTransition(f"A {state.state} workload cannot start.")
    return Started(
        node=command.node,
        incarnation=command.incarnation,
        isolation=state.isolation,
        image_digest=command.image_digest,
    )


def _end(state: Workload, command: End) -> EventData:
    _check_holder(state, command.node, command.incarnation, command.attempt)
    if state.state != "running":
        raise IllegalTransition(f"A {state.state} workload has nothing to end; its executor starts it first.")
    return _ending(state, command.outcome, command.at)


def _check_holder(state: Workload, node: str, incarnation: str, attempt: int) -> None:
    if state.ended:
        raise IllegalTransition(f"The workload is {state.state} already.")
    if not state.held_by(node, incarnation) or state.attempt != attempt:
        raise NotYours(f"Attempt {attempt} is not held by {node}/{incarnation}.")


def _ending(state: Workload, outcome: Outcome, at: datetime) -> EventData:
    reason = outcome.reason
    if reason is None:
        return Completed(outcome=outcome)
    if reason is Reason.KILLED_BY_USER:
        return Killed(outcome=outcome)
    retry = state.spec.retry
    if reason in retry.on and state.attempt < retry.max_attempts and not state.kill_requested:
        return Retrying(
            outcome=outcome,
            next_attempt=state.attempt + 1,
            not_before=at + timedelta(seconds=retry.backoff_s),
        )
    return Failed(outcome=outcome)


def _lose_executor(state: Workload, command: LoseExecutor) -> EventData | None:
    if state.state != "running" or state.attempt != command.attempt:
        return None
    if not state.held_by(command.node, command.incarnation):
        return None
    if state.kill_requested:
        message = f"Killed on request; node {command.node} was lost before it could confirm."
        outcome = Outcome(reason=Reason.KILLED_BY_USER, message=message, last_line=command.last_line)
        return Killed(outcome=outcome)
    message = f"Node {command.node} stopped answering while it ran attempt {state.attempt}."
    outcome = Outcome(reason=Reason.EXECUTOR_LOST, message=message, last_line=command.last_line)
    return _ending(state, outcome, command.at)


def _request_kill(state: Workload) -> EventData | None:
    if state.ended or state.kill_requested:
        return None
    if state.state == "running":
        return KillRequested()
    message = "Killed on request before it started."
    return Killed(outcome=Outcome(reason=Reason.KILLED_BY_USER, message=message, last_line=_last_line(state)))


def _expire(state: Workload, command: Expire) -> Failed | None:
    if state.state != "pending":
        return None
    waited_since = state.not_before or state.submitted_at
    if command.at < waited_since + timedelta(seconds=state.spec.queue_ttl_s):
        return None
    message = f"Waited longer than its queue TTL of {state.spec.queue_ttl_s:g} s."
    return Failed(outcome=Outcome(reason=Reason.QUEUE_EXPIRED, message=message, last_line=_last_line(state)))


def _last_line(state: Workload) -> int:
    """The last log line of the attempts before this one: what a workload that ends while it waits has printed."""
    return state.outcome.last_line if state.outcome is not None else 0
