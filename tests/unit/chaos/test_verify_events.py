from msgspec.structs import replace

from chaos import verify_events
from chaos.records import Event
from support.chaos_records import FIRST, KILLED, PLAIN, RETRIED, Story
from vulcan_contracts import commands
from vulcan_contracts.events import decode_data
from vulcan_contracts.reasons import Reason


def found(story: Story, events: list[Event] | None = None) -> list[str]:
    return verify_events.violations(story.submitted, story.events if events is None else events, {"backend_error"})


def test_a_true_story_is_believed() -> None:
    assert found(Story()) == []


def test_a_workload_that_never_ended() -> None:
    story = Story()
    [wrong] = found(story, story.without(PLAIN, "completed"))
    assert wrong == f"{PLAIN}: ended 0 times, by events [] (it is running)"


def test_a_workload_that_ended_twice() -> None:
    story = Story()
    [wrong] = found(story, story.again(PLAIN, "completed"))
    assert PLAIN in wrong
    assert "comes when it is completed" in wrong


def test_a_workload_that_was_started_twice() -> None:
    story = Story()
    [wrong] = found(story, story.again(PLAIN, "started"))
    assert "comes when it is completed" in wrong


def test_a_workload_that_was_accepted_and_forgotten() -> None:
    story = Story()
    story.submitted["wl_lost"] = story.submitted[PLAIN]
    assert found(story) == ["wl_lost: was accepted and is not on the log"]


def test_a_workload_that_nobody_submitted() -> None:
    story = Story()
    del story.submitted[PLAIN]
    assert found(story) == [f"{PLAIN}: is on the log and nobody submitted it"]


def test_an_event_that_is_gone_from_the_stream() -> None:
    story = Story()
    gone = story.events.pop(4)
    assert f"event {gone.seq} is missing from the stream, {gone.seq + 1} comes in its place" in found(story)


def test_a_version_that_is_left_out() -> None:
    story = Story()
    [*_, wrong] = found(story, story.without(PLAIN, "scheduled"))
    assert PLAIN in wrong
    last = story.events[-1]
    story.events[-1] = last._replace(envelope=replace(last.envelope, version=last.envelope.version + 1))
    assert any(f"event {last.seq}: {RETRIED}: v8 cannot follow v6" in wrong for wrong in found(story))


def test_an_attempt_that_is_left_out() -> None:
    story = Story()
    place = next(i for i, event in enumerate(story.events) if event.envelope.type == "retrying")
    retrying = story.events[place]
    raw = bytes(retrying.envelope.data).replace(b'"next_attempt":2', b'"next_attempt":3')
    data = type(retrying.envelope.data)(raw)
    story.events[place] = retrying._replace(envelope=replace(retrying.envelope, data=data))
    assert any("goes from attempt 1 to 3" in wrong for wrong in found(story))


def test_an_event_that_is_there_twice() -> None:
    story = Story()
    again = story.again(KILLED, "killed")
    story.events = [*again[:-1], again[-1]._replace(envelope=replace(again[-1].envelope, id=again[0].envelope.id))]
    assert any("is the same as" in wrong for wrong in found(story))


def test_an_event_of_another_attempt() -> None:
    story = Story()
    last = story.events[-1]
    story.events[-1] = last._replace(envelope=replace(last.envelope, attempt=1))
    assert any(f"{RETRIED}: event {last.seq} (completed): is of attempt 1" in wrong for wrong in found(story))


def test_an_event_under_the_wrong_subject() -> None:
    story = Story()
    story.events[0] = story.events[0]._replace(subject="evt.default.workload.other.submitted")
    assert any("lies under evt.default.workload.other.submitted" in wrong for wrong in found(story))


def test_a_start_by_another_life_of_the_executor() -> None:
    story = Story()
    place = next(i for i, event in enumerate(story.events) if event.envelope.type == "started")
    started = story.events[place]
    data = decode_data(started.envelope)
    raw = bytes(started.envelope.data).replace(FIRST.encode(), b"in_9")
    assert data is not None
    story.events[place] = started._replace(envelope=replace(started.envelope, data=type(started.envelope.data)(raw)))
    assert any("but it was given to" in wrong for wrong in found(story))


def test_an_end_that_nothing_explains() -> None:
    story = Story()
    story.begin_new("wl_new")
    story.end("wl_new", FIRST, Reason.TIMED_OUT)
    assert found(story) == ["wl_new: attempt 1 ended by timed_out, which nothing explains"]


def test_an_end_that_is_explained_where_there_is_no_jail() -> None:
    story = Story()
    story.begin_new("wl_new")
    story.end("wl_new", FIRST, Reason.SIGNALED)
    assert found(story) == ["wl_new: attempt 1 ended by signaled, which nothing explains"]
    assert verify_events.violations(story.submitted, story.events, {"backend_error", "signaled"}) == []


def test_an_attempt_less_than_was_agreed() -> None:
    story = Story()
    story.begin_new("wl_new")
    story.end("wl_new", FIRST, Reason.BACKEND_ERROR)
    job = story.submitted["wl_new"].job
    story.submitted["wl_new"].job = job._replace(attempts=2)
    assert found(story) == ["wl_new: failed in attempt 1, although 2 were to be made"]


def test_attempts_that_were_not_needed_or_not_wanted() -> None:
    story = Story()
    for name in ("wl_well", "wl_unwanted"):
        story.submit(name, 3)
        story.begin(name, FIRST)
    story.end("wl_well", FIRST, None)
    story.command("wl_unwanted", commands.RequestKill())
    story.end("wl_unwanted", FIRST, Reason.BACKEND_ERROR)
    assert found(story) == []


def test_an_attempt_more_than_was_agreed() -> None:
    story = Story()
    story.submitted[RETRIED].job = story.submitted[RETRIED].job._replace(attempts=1)
    assert found(story) == [f"{RETRIED}: attempt 1 of at most 1 is tried again"]


def test_a_kill_that_nobody_asked_for() -> None:
    story = Story()
    story.submitted[KILLED].kill_asked = False
    assert found(story) == [f"{KILLED}: was killed and nobody asked for it"]


def test_the_attempts_with_their_lines() -> None:
    first, second = verify_events.Histories(Story().events).attempts[RETRIED]
    assert (first.first, first.last, first.end, first.reason, first.incarnation) == (
        *(1, 3, "retrying", "executor_lost"),
        FIRST,
    )
    assert (second.first, second.last, second.end, second.reason) == (4, 7, "completed", None)
