"""Taking and ending an attempt when the event log answers late, or not, or only half."""

import pytest

from support.fake_programs import script
from vulcan_contracts.commands import Command, RequestKill, Schedule, Submit
from vulcan_contracts.errors import DomainError
from vulcan_contracts.ids import new_workload_id
from vulcan_contracts.outcome import Artifact, Outcome
from vulcan_contracts.reasons import Reason
from vulcan_contracts.spec import Retry
from vulcan_eventstore.errors import BusClosedError, EventStoreUnavailableError, PayloadTooLargeError
from vulcan_eventstore.memory_log import MemoryWorkloadLog
from vulcan_eventstore.workload_log import Executed, Tracked
from vulcan_sandbox import attempt as attempt_module
from vulcan_sandbox.attempt import Attempt, LostTouchError, NodeIdentity

ME = NodeIdentity(node="n", incarnation="in_1")
OTHER = NodeIdentity(node="n", incarnation="in_2")


class UnsteadyLog(MemoryWorkloadLog):
    """Fails as told: `before` a command takes effect, or after it did (`lost_acks`)."""

    def __init__(self) -> None:
        super().__init__()
        self.before: list[Exception] = []
        self.lost_acks = 0
        self.load_failures = 0

    async def load(self, tenant: str, workload_id: str, *, deadline_s: float = 5.0) -> Tracked | None:
        if self.load_failures:
            self.load_failures -= 1
            raise EventStoreUnavailableError("away")
        return await super().load(tenant, workload_id, deadline_s=deadline_s)

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
        if self.before:
            raise self.before.pop(0)
        failures, self.load_failures = self.load_failures, 0
        try:
            executed = await super().execute(
                tenant, workload_id, command, actor=actor, known=known, deadline_s=deadline_s
            )
        finally:
            self.load_failures = failures
        if self.lost_acks:
            self.lost_acks -= 1
            raise EventStoreUnavailableError("no answer")
        return executed

    def types(self) -> list[str]:
        return [event.envelope.type for event in self.events]


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt_module, "_PAUSE_S", 0)


@pytest.fixture
def log() -> UnsteadyLog:
    return UnsteadyLog()


async def given(
    log: UnsteadyLog, me: NodeIdentity = ME, *, give_up_after_s: float = 10.0, retry: Retry | None = None
) -> Attempt:
    workload_id = new_workload_id()
    spec = script("print x", retry=retry or Retry())
    await log.execute("acme", workload_id, Submit(spec=spec, fingerprint="x"), actor="t")
    schedule = Schedule(isolation="v8", isolation_reason="t", node=me.node, incarnation=me.incarnation)
    tracked = (await log.execute("acme", workload_id, schedule, actor="t")).tracked
    return Attempt(
        tracked.state,
        known=tracked,
        log=log,
        me=ME,
        command_deadline_s=1,
        give_up_after_s=give_up_after_s,
    )


async def test_starts_and_ends(log: UnsteadyLog) -> None:
    attempt = await given(log)
    assert attempt.ours
    assert await attempt.start("sha256:1")
    assert await attempt.standing() == "ours"
    assert await attempt.end(Outcome(exit_code=0))
    assert log.types() == ["submitted", "scheduled", "started", "completed"]
    assert await attempt.standing() == "gone"


async def test_another_lifes_attempt_is_not_ours(log: UnsteadyLog) -> None:
    attempt = await given(log, OTHER)
    assert not attempt.ours
    assert not await attempt.start(None)
    assert log.types() == ["submitted", "scheduled"]


async def test_a_second_start_is_refused(log: UnsteadyLog) -> None:
    attempt = await given(log)
    assert await attempt.start(None)
    assert not await attempt.start(None)


async def test_a_start_whose_answer_was_lost_is_ours(log: UnsteadyLog) -> None:
    attempt = await given(log)
    log.lost_acks = 1
    log.load_failures = 2
    assert await attempt.start(None)
    assert log.types().count("started") == 1


async def test_a_start_whose_answer_was_lost_and_then_killed_is_ours_to_kill(log: UnsteadyLog) -> None:
    attempt = await given(log)
    log.lost_acks = 1
    await attempt.start(None)
    await log.execute("acme", attempt.workload.id, RequestKill(), actor="user")
    assert await attempt.standing() == "to_be_killed"


async def test_a_start_that_was_given_away_meanwhile_is_not(log: UnsteadyLog) -> None:
    attempt = await given(log)
    schedule = Schedule(isolation="v8", isolation_reason="t", node="m", incarnation="in_9")
    await log.execute("acme", attempt.workload.id, schedule, actor="t")
    log.before = [EventStoreUnavailableError("away")]
    assert not await attempt.start(None)
    assert "started" not in log.types()


async def test_an_end_whose_answer_was_lost_is_there_once(log: UnsteadyLog) -> None:
    attempt = await given(log)
    await attempt.start(None)
    log.lost_acks = 1
    assert await attempt.end(Outcome(exit_code=0))
    assert log.types().count("completed") == 1


async def test_an_end_that_retries_is_there_once(log: UnsteadyLog) -> None:
    attempt = await given(log, retry=Retry(max_attempts=3))
    await attempt.start(None)
    log.lost_acks = 1
    assert await attempt.end(Outcome(reason=Reason.BACKEND_ERROR))
    assert log.types().count("retrying") == 1


async def test_an_end_is_tried_again_while_the_log_is_away(log: UnsteadyLog) -> None:
    attempt = await given(log)
    await attempt.start(None)
    log.before = [EventStoreUnavailableError("away")] * 5
    assert await attempt.end(Outcome(exit_code=0))


async def test_giving_up(log: UnsteadyLog) -> None:
    attempt = await given(log, give_up_after_s=0)
    log.before = [EventStoreUnavailableError("away")] * 1000
    with pytest.raises(LostTouchError):
        await attempt.start(None)
    with pytest.raises(LostTouchError):
        await attempt.end(Outcome())


async def test_a_closed_connection_is_not_waited_for(log: UnsteadyLog) -> None:
    attempt = await given(log)
    log.before = [BusClosedError("closed"), BusClosedError("closed")]
    with pytest.raises(BusClosedError):
        await attempt.start(None)
    with pytest.raises(BusClosedError):
        await attempt.end(Outcome())


async def test_an_outcome_too_large_for_the_log_loses_its_bulk(log: UnsteadyLog) -> None:
    attempt = await given(log)
    await attempt.start(None)
    log.before = [PayloadTooLargeError("too large")]
    artifact = Artifact(name="a", size_bytes=1, sha256="0" * 64)
    assert await attempt.end(Outcome(exit_code=0, result="x" * 1000, artifacts=[artifact]))
    tracked = await log.load("acme", attempt.workload.id)
    assert tracked is not None
    assert tracked.state.outcome is not None
    assert (tracked.state.outcome.reason, tracked.state.outcome.result) == (Reason.OUTPUT_LIMIT, None)


async def test_nothing_ends_without_a_start(log: UnsteadyLog) -> None:
    attempt = await given(log, OTHER)
    assert not await attempt.end(Outcome(exit_code=0))
    with pytest.raises(DomainError):
        await log.execute("acme", "wl_unknown", RequestKill(), actor="user")
