import pytest

from chaos import verify_projections
from chaos.records import Row
from chaos.verify_events import Histories
from support.chaos_records import KILLED, PLAIN, RETRIED, Story

STATES = Histories(Story().events).states


def rows() -> list[Row]:
    return [
        {
            "id": name,
            "state": state.state,
            "reason": state.outcome.reason if state.outcome else None,
            "attempt": state.attempt,
            "version": state.version,
            "node": state.node,
            "kill_requested": state.kill_requested,
            "submitted_at": state.submitted_at,
            "ended_at": state.ended_at,
            "last_line": state.outcome.last_line if state.outcome else 0,
        }
        for name, state in STATES.items()
    ]


def test_true_rows_are_believed() -> None:
    assert verify_projections.log_violations(rows(), STATES) == []


@pytest.mark.parametrize(
    ("column", "value"),
    [("state", "running"), ("reason", "timed_out"), ("attempt", 3), ("version", 1), ("last_line", 1), ("node", None)],
)
def test_a_row_that_is_not_what_the_log_says(column: str, value: object) -> None:
    doctored = rows()
    doctored[0][column] = value
    [wrong] = verify_projections.log_violations(doctored, STATES)
    assert wrong.startswith(f"{PLAIN}: {column} is {value!r} in the table")


def test_rows_that_are_missing_doubled_or_of_nobody() -> None:
    every = rows()
    assert verify_projections.log_violations(every[1:], STATES) == [f"{PLAIN}: is not in the table"]
    assert verify_projections.log_violations([*every, every[0]], STATES) == ["workloads: 4 rows for 3 workloads"]
    stranger = {**every[0], "id": "wl_other"}
    assert verify_projections.log_violations([*every, stranger], STATES) == [
        "wl_other: is in the table and not on the log"
    ]


def rebuilt(before: list[Row], after: list[Row]) -> list[str]:
    return verify_projections.rebuild_violations("workloads", before, after, ["id"])


def test_an_equal_rebuild_is_believed_in_whatever_order() -> None:
    assert rebuilt(rows(), rows()[::-1]) == []


def test_a_rebuild_that_changes_something() -> None:
    changed = rows()
    changed[2]["last_line"] = 99
    [wrong] = rebuilt(rows(), changed)
    assert wrong.startswith(f"workloads: ('{KILLED}',): last_line is 99 after the rebuild")


def test_a_rebuild_that_loses_adds_or_doubles_a_row() -> None:
    every = rows()
    assert f"workloads: ('{RETRIED}',) is gone after the rebuild" in rebuilt(every, [every[0], every[2]])
    assert f"workloads: ('{RETRIED}',) is there only after the rebuild" in rebuilt([every[0], every[2]], every)
    assert rebuilt(every, [*every, every[0]]) == ["workloads: 3 rows before the rebuild, 4 after"]
