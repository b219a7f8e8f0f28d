"""What becomes of a workload by a command, said once more and in another way than `decide` and `evolve` say it."""

from datetime import datetime, timedelta
from typing import NamedTuple

from vulcan_contracts import commands
from vulcan_contracts.errors import DomainError, IdempotencyMismatch, IllegalTransition, NotYours, UnknownWorkload
from vulcan_contracts.reasons import Reason
from vulcan_contracts.spec import Retry
from vulcan_contracts.workload import State, Workload


class View(NamedTuple):
    """What a command may change of a workload."""

    state: State = "pending"
    attempt: int = 1
    isolation: str | None = None
    node: str | None = None
    incarnation: str | None = None
    scheduled_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    not_before: datetime | None = None
    kill_requested: bool = False
    deleted: bool = False
    reason: Reason | None = None
    last_line: int = 0

    @classmethod
    def of(cls, workload: Workload) -> "View":
        values = {name: getattr(workload, name, None) for name in cls._fields}
        if workload.outcome is not None:
            values |= {"reason": workload.outcome.reason, "last_line": workload.outcome.last_line}
        return cls(**values | ({"last_line": 0} if workload.outcome is None else {}))  # type: ignore[arg-type]

    def over(self, state: State, reason: Reason | None, last_line: int, now: datetime) -> "View":
        return self._replace(state=state, reason=reason, last_line=last_line, ended_at=now)

    def after_attempt(self, retry: Retry, reason: Reason | None, last_line: int, at: datetime, now: datetime) -> "View":
        if reason is None:
            return self.over("completed", None, last_line, now)
        if reason is Reason.KILLED_BY_USER:
            return self.over("killed", reason, last_line, now)
        if self.kill_requested or reason not in retry.on or self.attempt == retry.max_attempts:
            return self.over("failed", reason, last_line, now)
        return View(
            attempt=self.attempt + 1,
            isolation=self.isolation,
            not_before=at + timedelta(seconds=retry.backoff_s),
            deleted=self.deleted,
            reason=reason,
            last_line=last_line,
        )


Answer = View | type[DomainError] | None


def becomes(workload: Workload | None, command: commands.Command, now: datetime) -> Answer:
    """What it is then; an error; or None where nothing happens."""
    if isinstance(command, commands.Submit):
        if workload is None:
            return View()
        return None if workload.fingerprint == command.fingerprint else IdempotencyMismatch
    if workload is None:
        return UnknownWorkload
    view = View.of(workload)
    if isinstance(command, commands.Start | commands.End | commands.LoseExecutor):
        return _by_its_holder(workload, view, command, now)
    running, waits = view.state == "running", view.state == "pending"
    match command:
        case commands.Schedule(isolation=isolation, node=node, incarnation=incarnation) if waits:
            return view._replace(isolation=isolation, node=node, incarnation=incarnation, scheduled_at=now)
        case commands.Schedule():
            return IllegalTransition
        case commands.RequestKill() if running:
            return None if view.kill_requested else view._replace(kill_requested=True)
        case commands.RequestKill():
            return view.over("killed", Reason.KILLED_BY_USER, view.last_line, now) if waits else None
        case commands.Delete():
            return None if view.deleted else view._replace(deleted=True)
        case commands.Expire(at=at):
            due = (view.not_before or workload.submitted_at) + timedelta(seconds=workload.spec.queue_ttl_s)
            return view.over("failed", Reason.QUEUE_EXPIRED, view.last_line, now) if waits and at >= due else None


def _by_its_holder(
    workload: Workload, view: View, command: commands.Start | commands.End | commands.LoseExecutor, now: datetime
) -> Answer:
    retry, running, waits = workload.spec.retry, view.state == "running", view.state == "pending"
    its_own = (command.node, command.incarnation, command.attempt) == (view.node, view.incarnation, view.attempt)
    match command:
        case commands.LoseExecutor(at=at, last_line=last_line):
            reason = Reason.KILLED_BY_USER if view.kill_requested else Reason.EXECUTOR_LOST
            return view.after_attempt(retry, reason, last_line, at, now) if running and its_own else None
        case _ if not (running or waits):
            return IllegalTransition
        case _ if not its_own:
            return NotYours
        case commands.Start() if waits:
            return view._replace(state="running", started_at=now)
        case commands.End(outcome=outcome, at=at) if running:
            return view.after_attempt(retry, outcome.reason, outcome.last_line, at, now)
        case _:
            return IllegalTransition
