"""The tables say what the log says, and a rebuild of them changes nothing."""

from collections.abc import Mapping, Sequence

from chaos.records import Row
from vulcan_contracts.workload import Workload


def log_violations(rows: Sequence[Row], states: Mapping[str, Workload]) -> list[str]:
    """Where the table of workloads is not what their events fold to."""
    found: list[str] = []
    by_id = {row["id"]: row for row in rows}
    if len(by_id) != len(rows):
        found.append(f"workloads: {len(rows)} rows for {len(by_id)} workloads")
    found += [f"{name}: is not in the table" for name in states if name not in by_id]
    found += [f"{name}: is in the table and not on the log" for name in by_id if name not in states]
    for name, state in states.items():
        if name in by_id:
            row, wanted = by_id[name], _wanted(state)
            found += [
                f"{name}: {column} is {row[column]!r} in the table, {value!r} on the log"
                for column, value in wanted.items()
                if row[column] != value
            ]
    return found


def _wanted(state: Workload) -> Row:
    outcome = state.outcome
    return {
        "state": state.state,
        "reason": None if outcome is None or outcome.reason is None or not state.ended else outcome.reason.value,
        "attempt": state.attempt,
        "version": state.version,
        "node": state.node,
        "kill_requested": state.kill_requested,
        "submitted_at": state.submitted_at,
        "ended_at": state.ended_at,
        "last_line": 0 if outcome is None else outcome.last_line,
    }


def rebuild_violations(table: str, before: Sequence[Row], after: Sequence[Row], key: Sequence[str]) -> list[str]:
    """Where a table differs from itself after the rebuild."""

    def keyed(rows: Sequence[Row]) -> dict[tuple[object, ...], Row]:
        return {tuple(row[column] for column in key): row for row in rows}

    old, new = keyed(before), keyed(after)
    found = [f"{table}: {len(before)} rows before the rebuild, {len(after)} after"] if len(before) != len(after) else []
    found += [f"{table}: {name} is gone after the rebuild" for name in old if name not in new]
    found += [f"{table}: {name} is there only after the rebuild" for name in new if name not in old]
    for name, row in old.items():
        found += [
            f"{table}: {name}: {column} is {new[name][column]!r} after the rebuild, {value!r} before"
            for column, value in row.items()
            if name in new and new[name][column] != value
        ]
    return found
