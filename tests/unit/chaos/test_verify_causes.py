from chaos import verify_causes
from chaos.plan import KINDS
from chaos.verify_events import Histories
from support.chaos_records import FIRST, PLAIN, RETRIED, SECOND, Story
from vulcan_contracts.reasons import Reason

KILLS = {"executor-v8": 1, "nats": 2, "deno": 1}
END = "2026-01-01T00:00:00Z vulcan up: ended by signal 9; starting it again in 0.1 s"


def logs() -> dict[str, list[str]]:
    return {kind: ["starting", *[END] * KILLS.get(kind, 0)] for kind in KINDS if kind != "deno"}


def found(story: Story, kills: dict[str, int] | None = None, lines: dict[str, list[str]] | None = None) -> list[str]:
    attempts = Histories(story.events).attempts
    lives = verify_causes.incarnations(story.events)
    return verify_causes.violations(
        KILLS if kills is None else kills, logs() if lines is None else lines, attempts, lives, {"backend_error"}
    )


def test_a_true_story_is_believed() -> None:
    assert found(Story()) == []


def test_the_lives_of_the_executor() -> None:
    assert verify_causes.incarnations(Story().events) == [FIRST, SECOND]


def test_a_service_that_crashed_by_itself() -> None:
    lines = logs()
    lines["gateway"].append("2026-01-01T00:00:00Z vulcan up: ended with exit code 1; starting it again in 0.1 s")
    assert found(Story(), lines=lines) == ["gateway: ended with exit code 1, 1 times"]


def test_a_service_that_somebody_else_killed() -> None:
    lines = logs()
    lines["gateway"].append(END)
    assert found(Story(), lines=lines) == ["gateway: killed 0 times, but ended by signal 9 1 times"]


def test_a_service_that_could_not_be_started() -> None:
    lines = logs()
    lines["postgres"].append("2026-01-01T00:00:00Z vulcan up: cannot start: no room; starting it again in 0.1 s")
    assert found(Story(), lines=lines) == ["postgres: cannot start: no room, 1 times"]


def test_more_runs_ended_with_hosts_than_hosts_were_killed() -> None:
    story = Story()
    for name in ("wl_one", "wl_two"):
        story.begin_new(name, SECOND)
        story.end(name, SECOND, Reason.BACKEND_ERROR)
    assert found(story) == [
        "1 hosts were killed, but more attempts ended with them: wl_one attempt 1, wl_two attempt 1"
    ]


def test_as_many_runs_as_hosts_that_were_killed_are_believed() -> None:
    story = Story()
    story.begin_new("wl_new", SECOND)
    story.end("wl_new", SECOND, Reason.BACKEND_ERROR)
    assert found(story) == []


def test_a_program_may_have_killed_its_own_host_only_where_it_was_not_jailed() -> None:
    assert verify_causes.host_died(["bwrap"]) == {"backend_error"}
    assert verify_causes.host_died(["none"]) == {"backend_error", "signaled"}


def test_an_executor_that_began_a_life_more_than_it_was_killed() -> None:
    lines = logs()
    lines["executor-v8"] = []
    assert found(Story(), {**KILLS, "executor-v8": 0}, lines) == [
        "the executor was killed 0 times and had the lives in_1, in_2"
    ]


def test_an_attempt_that_was_lost_with_a_living_executor() -> None:
    story = Story()
    story.begin_new("wl_new", SECOND)
    story.seal("wl_new")
    story.lose("wl_new", SECOND)
    assert found(story) == ["wl_new: attempt 1 was lost with in_2, which is alive"]
    assert {PLAIN, RETRIED} < story.submitted.keys()
