"""Whatever a reader hears and reads, in whatever order, it gets each line once and in order."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from vulcan_contracts.logs import LogLine
from vulcan_gateway.domain.stitch import LineCursor

TIME = datetime(2026, 1, 1, tzinfo=UTC)


def lines(first: int, last: int) -> list[LogLine]:
    return [LogLine(seq=seq, time=TIME, stream="stdout", text=str(seq)) for seq in range(first, last + 1)]


@st.composite
def batches(draw: st.DrawFn) -> list[tuple[int, int]]:
    sizes = draw(st.lists(st.integers(1, 5), min_size=1, max_size=12))
    found, at = [], 1
    for size in sizes:
        found.append((at, at + size - 1))
        at += size
    return found


@st.composite
def stories(draw: st.DrawFn) -> tuple[list[tuple[int, int]], int, list[tuple[str, int, int]]]:
    """Batches as they were stored, where the reader begins, and what reaches it: live batches (lost, doubled, late)
    and pages of history, each as long as the store was at that moment."""
    stored = draw(batches())
    total = stored[-1][1]
    steps = draw(
        st.lists(
            st.one_of(
                st.tuples(st.just("live"), st.integers(0, len(stored) - 1), st.just(0)),
                st.tuples(st.just("page"), st.integers(0, len(stored)), st.integers(1, 7)),
            ),
            max_size=40,
        )
    )
    return stored, draw(st.integers(0, total + 2)), steps


@given(stories())
def test_each_line_once_and_in_order(story: tuple[list[tuple[int, int]], int, list[tuple[str, int, int]]]) -> None:
    stored, after, steps = story
    total = stored[-1][1]
    cursor = LineCursor(after)
    seen: list[int] = []
    for kind, which, limit in steps:
        if kind == "live":
            new = cursor.live(lines(*stored[which]))
            if new is None:
                assert stored[which][0] > cursor.position + 1
                continue
        else:
            known = stored[which - 1][1] if which else 0
            new = cursor.history(lines(cursor.position + 1, min(known, cursor.position + limit)))
        seen += [line.seq for line in new]
    while cursor.position < total:
        seen += [line.seq for line in cursor.history(lines(cursor.position + 1, min(total, cursor.position + 3)))]
    assert seen == list(range(after + 1, total + 1))


@given(st.integers(0, 20), st.integers(1, 20), st.integers(1, 10))
def test_a_live_batch_is_new_old_or_behind_a_gap(position: int, first: int, size: int) -> None:
    cursor = LineCursor(position)
    new = cursor.live(lines(first, first + size - 1))
    if first > position + 1:
        assert new is None
        assert cursor.position == position
    else:
        assert new is not None
        assert [line.seq for line in new] == list(range(position + 1, first + size))
        assert cursor.position == max(position, first + size - 1)


def test_history_may_step_over_what_has_expired() -> None:
    cursor = LineCursor(3)
    assert [line.seq for line in cursor.history(lines(10, 12))] == [10, 11, 12]
    assert cursor.history(lines(1, 12)) == ()
    assert [line.seq for line in cursor.history(lines(11, 14))] == [13, 14]
    assert cursor.live([]) == ()
