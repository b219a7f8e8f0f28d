from collections.abc import Callable

import pytest
from msgspec.structs import replace

from chaos import verify_lines
from chaos.records import Batch
from chaos.verify_events import Histories
from support.chaos_records import FIRST, KILLED, PLAIN, RETRIED, Story
from vulcan_contracts.logs import LogLine
from vulcan_contracts.reasons import Reason


def found(story: Story, batches: list[Batch] | None = None) -> list[str]:
    attempts = Histories(story.events).attempts
    return verify_lines.violations(story.submitted, attempts, story.batches if batches is None else batches)


def test_a_true_story_is_believed() -> None:
    assert found(Story()) == []


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        (lambda _: [], f"{PLAIN}: line 3 follows line 1"),
        (lambda line: [line, line], f"{PLAIN}: line 2 follows line 2"),
        (lambda line: [replace(line, seq=9)], f"{PLAIN}: line 9 follows line 1"),
        (
            lambda line: [replace(line, text="out aaaaaaaa 1 xx")],
            f"{PLAIN} attempt 1: line 2 is 'out aaaaaaaa 1 xx' where number 2 of stdout was due",
        ),
        (
            lambda line: [replace(line, text="err aaaaaaaa 2 xx")],
            f"{PLAIN} attempt 1: line 2 is 'err aaaaaaaa 2 xx' where number 2 of stdout was due",
        ),
        (
            lambda line: [replace(line, text="out aaaaaaaa 2 x")],
            f"{PLAIN} attempt 1: line 2 is 'out aaaaaaaa 2 x' where number 2 of stdout was due",
        ),
        (lambda line: [replace(line, text="something else")], f"{PLAIN} attempt 1: line 2 is 'something else'"),
        (
            lambda line: [replace(line, partial=True)],
            f"{PLAIN} attempt 1: line 2 is a piece, 'out aaaaaaaa 2 xx'",
        ),
        (
            lambda line: [replace(line, text="out eeeeeeee 2 xx")],
            f"{PLAIN} attempt 1: has lines of 2 executions: aaaaaaaa, eeeeeeee",
        ),
    ],
)
def test_a_line_that_is_not_as_it_was_printed(change: Callable[[LogLine], list[LogLine]], wrong: str) -> None:
    story = Story()
    assert found(story, story.changed(PLAIN, 2, change)) == [wrong]


def test_lines_that_begin_with_the_second() -> None:
    story = Story()
    shifted = [
        stored._replace(
            batch=replace(stored.batch, lines=[replace(line, seq=line.seq + 1) for line in stored.batch.lines])
        )
        for stored in story.batches
    ]
    assert f"{PLAIN}: line 2 follows line 0" in found(story, shifted)


def test_the_last_line_is_gone() -> None:
    story = Story()
    assert found(story, story.changed(PLAIN, 4, lambda _: [])) == [f"{PLAIN}: the last line is 3, and should be 4"]


def test_a_line_behind_the_end() -> None:
    story = Story()
    story.write(PLAIN, [("stdout", "out aaaaaaaa 4 xx")])
    assert found(story) == [f"{PLAIN}: the last line is 5, and should be 4"]


def test_lines_whose_order_is_not_the_programs() -> None:
    story = Story()
    swapped = story.changed(PLAIN, 1, lambda line: [replace(line, text="out aaaaaaaa 2 xx")])
    assert found(story, swapped) == [
        f"{PLAIN} attempt 1: line 1 is 'out aaaaaaaa 2 xx' where number 1 of stdout was due"
    ]


def test_a_completed_attempt_without_all_that_its_program_prints() -> None:
    story = Story()
    story.submitted[PLAIN].job = story.submitted[PLAIN].job._replace(out=4)
    assert found(story) == [f"{PLAIN} attempt 1: 3 lines of stdout where the program prints 4"]


def test_more_lines_than_the_program_prints() -> None:
    story = Story()
    story.submitted[PLAIN].job = story.submitted[PLAIN].job._replace(out=2)
    assert found(story) == [f"{PLAIN} attempt 1: 3 lines of stdout where the program prints 2"]


def test_a_piece_of_a_line_is_only_at_the_end_of_what_was_cut_off_and_is_called_one() -> None:
    story = Story()
    cut = story.changed(KILLED, 1, lambda line: [replace(line, text="ou")])
    assert found(story, cut) == [f"{KILLED} attempt 1: line 1 is 'ou'"]
    story.begin_new("wl_new")
    story.print("wl_new", [("stdout", 2)], "00000004")
    story.end("wl_new", FIRST, Reason.BACKEND_ERROR)
    cut = story.changed("wl_new", 1, lambda line: [replace(line, text="ou", partial=True)])
    assert found(story, cut) == ["wl_new attempt 1: line 1 is a piece, 'ou'"]
    cut = story.changed(PLAIN, 3, lambda line: [replace(line, text="ou", partial=True)])
    assert found(story, cut) == [f"{PLAIN} attempt 1: line 3 is a piece, 'ou'"]


def test_an_attempt_that_was_cut_off_may_end_in_a_piece_of_a_line() -> None:
    story = Story()
    for text, right in (("out cc", True), ("ou", True), ("nonsense", False)):
        doctored = story.changed(KILLED, 1, lambda line, text=text: [replace(line, text=text, partial=True)])  # type: ignore[misc]
        assert (found(story, doctored) == []) == right


def test_lines_that_another_attempt_wrote() -> None:
    story = Story()
    late = story.batches[-1]
    story.batches[-1] = late._replace(batch=replace(late.batch, attempt=1))
    assert found(story) == [f"{RETRIED} attempt 2: lines 4, 5, 6, 7 were stored by attempt 1"]


def test_two_attempts_with_one_execution() -> None:
    story = Story()
    for number in range(4, 8):
        story.batches = story.changed(
            RETRIED, number, lambda line: [replace(line, text=line.text.replace("dddddddd", "bbbbbbbb"))]
        )
    assert found(story) == [f"{RETRIED} attempt 2: has lines of the execution that {RETRIED} attempt 1 was"]


def test_a_lost_attempt_that_is_not_sealed() -> None:
    story = Story()
    story.begin_new("wl_new")
    story.lose("wl_new", FIRST)
    assert found(story) == ["wl_new attempt 1: was lost with its executor and is not sealed"]


def test_a_lost_attempt_that_goes_on_behind_its_seal() -> None:
    story = Story()
    story.begin_new("wl_new")
    story.seal("wl_new")
    story.print("wl_new", [("stdout", 2)], "00000004")
    story.lose("wl_new", FIRST)
    assert found(story) == ["wl_new attempt 1: goes on behind its seal, line 2"]


def test_an_attempt_that_is_sealed_twice() -> None:
    story = Story()
    story.begin_new("wl_new")
    story.seal("wl_new")
    story.seal("wl_new")
    story.lose("wl_new", FIRST)
    assert found(story) == ["wl_new attempt 1: sealed 2 times, by lines 2, 3"]


def test_a_seal_of_another_attempt() -> None:
    story = Story()
    story.begin_new("wl_new")
    story.write("wl_new", [("system", "Node here-v8 stopped answering; attempt 7 is over.")])
    story.end("wl_new", FIRST, Reason.BACKEND_ERROR)
    [wrong] = found(story)
    assert wrong.startswith("wl_new attempt 1: line 2 seals another attempt")


def test_a_line_of_the_platforms_that_seals_nothing() -> None:
    story = Story()
    story.begin_new("wl_new")
    story.write("wl_new", [("system", "Something else."), ("system", "And more.")])
    story.end("wl_new", FIRST, Reason.BACKEND_ERROR)
    assert found(story) == []


def test_lines_of_a_workload_that_nobody_submitted() -> None:
    story = Story()
    del story.submitted[PLAIN]
    assert found(story) == [f"{PLAIN}: has lines and was never submitted"]


def test_lines_under_the_wrong_subject() -> None:
    story = Story()
    story.batches[0] = story.batches[0]._replace(subject="log.default.other")
    assert found(story) == [f"{PLAIN}: log message 1 lies under log.default.other"]


def copies(story: Story, batches: list[Batch]) -> list[str]:
    stored = verify_lines.by_workload(story.batches)
    return verify_lines.copy_violations("by the API", stored, verify_lines.by_workload(batches))


def test_a_true_copy_is_believed() -> None:
    story = Story()
    assert copies(story, list(story.batches)) == []


@pytest.mark.parametrize(
    ("line", "change", "wrong"),
    [
        (2, lambda _: [], "line 3 follows line 1"),
        (2, lambda line: [line, line], "line 2 follows line 2"),
        (4, lambda _: [], "the last line is 3, and should be 4"),
        (2, lambda line: [replace(line, text="?")], "line 2 is '?', stored was 'out aaaaaaaa 2 xx'"),
        (2, lambda line: [replace(line, stream="stderr")], "line 2 is 'out aaaaaaaa 2 xx', stored was"),
    ],
)
def test_a_false_copy(line: int, change: Callable[[LogLine], list[LogLine]], wrong: str) -> None:
    story = Story()
    [said] = copies(story, story.changed(PLAIN, line, change))
    assert said.startswith(f"{PLAIN}: by the API: {wrong}")


def test_a_copy_without_a_workload_and_one_with_a_stranger() -> None:
    story = Story()
    rest = [stored for stored in story.batches if stored.batch.workload_id != PLAIN]
    assert copies(story, rest) == [f"{PLAIN}: by the API: the last line is 0, and should be 4"]
    stored = verify_lines.by_workload(rest)
    every = verify_lines.by_workload(story.batches)
    assert verify_lines.copy_violations("by the API", stored, every) == [
        f"{PLAIN}: by the API: the last line is 4, and should be 0"
    ]
