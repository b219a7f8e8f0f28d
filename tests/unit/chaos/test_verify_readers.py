from collections.abc import AsyncIterator

import pytest
from msgspec.structs import replace

from chaos import verify_lines, verify_readers
from chaos.readers import Message, messages
from chaos.records import Reading
from chaos.verify_events import Histories
from support.chaos_records import RETRIED, Story

STORY = Story()
LINES = verify_lines.by_workload(STORY.batches)
STATES = Histories(STORY.events).states


def reading() -> Reading:
    done = {"state": "completed", "last_line": 7}
    return Reading(workload_id=RETRIED, kind="stays", lines=[*LINES[RETRIED]], done=[done], connections=2)


def found(seen: Reading) -> list[str]:
    before = f"{RETRIED}: a reader (stays, 2 connections): "
    said = verify_readers.violations([seen], STATES, LINES)
    assert all(wrong.startswith(before) for wrong in said)
    return [wrong.removeprefix(before) for wrong in said]


def test_a_reader_that_saw_everything_is_believed() -> None:
    assert found(reading()) == []


def test_a_reader_that_missed_a_line() -> None:
    seen = reading()
    del seen.lines[2]
    assert found(seen) == ["line 4 follows line 2"]


def test_a_reader_that_saw_a_line_twice() -> None:
    seen = reading()
    seen.lines.insert(2, seen.lines[1])
    assert found(seen) == ["line 2 follows line 2"]


def test_a_reader_that_saw_lines_in_another_order() -> None:
    seen = reading()
    seen.lines[1], seen.lines[2] = seen.lines[2], seen.lines[1]
    assert found(seen) == ["line 3 follows line 1"]


def test_a_reader_that_was_told_the_end_too_soon() -> None:
    seen = reading()
    del seen.lines[-1]
    assert found(seen) == ["the last line is 6, and should be 7"]


def test_a_reader_that_saw_another_text() -> None:
    seen = reading()
    seen.lines[0] = replace(seen.lines[0], text="?")
    assert found(seen) == ["line 1 was '?', stored was 'out bbbbbbbb 1 xx'"]


@pytest.mark.parametrize("times", [0, 2])
def test_a_reader_that_was_not_told_the_end_once(times: int) -> None:
    seen = reading()
    seen.done *= times
    assert found(seen) == [f"was told the end {times} times"]


def test_a_reader_that_was_told_another_end() -> None:
    seen = reading()
    seen.done[0]["state"] = "failed"
    assert found(seen) == ["was told {'state': 'failed', 'last_line': 7}, but it is completed with 7 lines"]


async def test_messages_of_a_stream_and_none_that_is_cut_off() -> None:
    async def body() -> AsyncIterator[str]:
        for line in ("retry: 1000", "", ": keep-alive", "", "id: 3", "event: line", "data: {}", "", "event: done"):
            yield line

    assert [message async for message in messages(body())] == [Message("line", "{}", "3")]
