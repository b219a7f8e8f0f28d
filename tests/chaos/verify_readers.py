"""Every reader saw each line once, in order, until `done`, however often its connection broke."""

from collections.abc import Mapping, Sequence

from chaos.records import Reading
from chaos.verify_lines import content, numbering
from vulcan_contracts.logs import LogLine
from vulcan_contracts.workload import Workload


def violations(
    readings: Sequence[Reading], states: Mapping[str, Workload], lines: Mapping[str, Sequence[LogLine]]
) -> list[str]:
    """What readers saw other than the log streams have it."""
    return [
        f"{reading.workload_id}: a reader ({reading.kind}, {reading.connections} connections): {wrong}"
        for reading in readings
        for wrong in _reading(reading, states.get(reading.workload_id), lines.get(reading.workload_id, ()))
    ]


def _reading(reading: Reading, state: Workload | None, stored: Sequence[LogLine]) -> list[str]:
    found: list[str] = []
    wrong = numbering([line.seq for line in reading.lines], len(stored))
    if wrong is not None:
        found.append(wrong)
    else:
        for seen, line in zip(reading.lines, stored, strict=True):
            if content(seen) != content(line):
                found.append(f"line {line.seq} was {seen.text[:60]!r}, stored was {line.text[:60]!r}")
                break
    if len(reading.done) != 1:
        found.append(f"was told the end {len(reading.done)} times")
    elif state is not None and (reading.done[0]["state"], reading.done[0]["last_line"]) != (state.state, len(stored)):
        found.append(f"was told {reading.done[0]}, but it is {state.state} with {len(stored)} lines")
    return found
