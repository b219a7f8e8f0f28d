"""No log line is missing, doubled or out of order, in the log stream and in every copy of it.

Lines are numbered through all attempts of a workload: attempt 2 goes on where attempt 1 ended. What the program printed
begins anew with each attempt, all of it by one execution. An attempt that completed has all of its program's lines; one
whose executor or host died has them up to some point, the last perhaps in part. A lost executor's attempt is sealed:
one `system` line of the scheduler's is its last, so that nothing can come behind what the event log says.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Final

from chaos.plan import Job
from chaos.records import Attempt, Batch, Submitted, brief
from vulcan_contracts import subjects
from vulcan_contracts.logs import LogLine

_PRINTED: Final = re.compile(r"(out|err) ([0-9a-f]{8}) (\d+) (x*)")
_SEAL: Final = re.compile(r"Node \S+ stopped answering; attempt (\d+) is over\.")
_OF_STREAM: Final = {"stdout": "out", "stderr": "err"}


class StoredLine(LogLine, frozen=True, kw_only=True):
    """A line, and the attempt under which it was stored."""

    attempt: int


def by_workload(batches: Iterable[Batch]) -> dict[str, list[StoredLine]]:
    """The lines of each workload in the order in which they were stored."""
    found: dict[str, list[StoredLine]] = defaultdict(list)
    for stored in batches:
        batch = stored.batch
        found[batch.workload_id] += [
            StoredLine(
                seq=line.seq,
                time=line.time,
                stream=line.stream,
                text=line.text,
                partial=line.partial,
                attempt=batch.attempt,
            )
            for line in batch.lines
        ]
    return found


def violations(
    submitted: Mapping[str, Submitted], attempts: Mapping[str, Sequence[Attempt]], batches: Sequence[Batch]
) -> list[str]:
    """What is wrong with the log stream, given what the event log says of each attempt."""
    lines = by_workload(batches)
    found = [
        f"{stored.batch.workload_id}: log message {stored.seq} lies under {stored.subject}"
        for stored in batches
        if stored.subject != subjects.log(stored.batch.tenant, stored.batch.workload_id)
    ]
    found += [f"{name}: has lines and was never submitted" for name in lines if name not in submitted]
    runs: dict[str, str] = {}
    for name, known in submitted.items():
        found += _workload(name, known.job, attempts.get(name, ()), lines.get(name, []), runs)
    return found


def _workload(
    name: str, job: Job, attempts: Sequence[Attempt], lines: Sequence[StoredLine], runs: dict[str, str]
) -> list[str]:
    last = attempts[-1].last if attempts else 0
    if wrong := numbering([line.seq for line in lines], last):
        return [f"{name}: {wrong}"]
    found: list[str] = []
    for attempt in attempts:
        own = lines[attempt.first - 1 : attempt.last]
        where = f"{name} attempt {attempt.number}"
        strangers = [line.seq for line in own if line.attempt != attempt.number]
        if strangers:
            found.append(f"{where}: lines {brief(strangers)} were stored by attempt {lines[strangers[0] - 1].attempt}")
        found += [f"{where}: {wrong}" for wrong in (*_printed(job, attempt, own), *_sealed(attempt, own))]
        for run in {match[2] for line in own if (match := _PRINTED.match(line.text))}:
            if runs.setdefault(run, where) != where:
                found.append(f"{where}: has lines of the execution that {runs[run]} was")
    return found


def numbering(seqs: Sequence[int], last: int) -> str | None:
    """What is wrong with these line numbers, which should be 1 to `last`; None if nothing is."""
    for before, after in pairwise([0, *seqs]):
        if after != before + 1:
            return f"line {after} follows line {before}"
    return None if len(seqs) == last else f"the last line is {len(seqs)}, and should be {last}"


def _printed(job: Job, attempt: Attempt, lines: Sequence[StoredLine]) -> list[str]:
    found: list[str] = []
    executions: set[str] = set()
    for stream, word in _OF_STREAM.items():
        own = [line for line in lines if line.stream == stream]
        count = 0
        for count, line in enumerate(own, 1):
            match = _PRINTED.fullmatch(line.text)
            if match is None or line.partial:
                if line is own[-1] and line.partial and attempt.end != "completed" and _begins(line.text, word):
                    continue
                found.append(f"line {line.seq} is {'a piece, ' if line.partial else ''}{line.text[:60]!r}")
                break
            executions.add(match[2])
            if match[1] != word or int(match[3]) != count or len(match[4]) != job.pad:
                found.append(f"line {line.seq} is {line.text[:40]!r} where number {count} of {stream} was due")
                break
        else:
            wanted = job.out if word == "out" else job.err
            if count > wanted or (attempt.end == "completed" and count < wanted):
                found.append(f"{count} lines of {stream} where the program prints {wanted}")
    if len(executions) > 1:
        found.append(f"has lines of {len(executions)} executions: {', '.join(sorted(executions))}")
    return found


def _begins(text: str, word: str) -> bool:
    """Whether it can be the beginning of a line that was cut off."""
    return text.startswith(f"{word} ") or f"{word} ".startswith(text)


def _sealed(attempt: Attempt, lines: Sequence[StoredLine]) -> list[str]:
    seals = [line for line in lines if line.stream == "system" and (_SEAL.fullmatch(line.text))]
    found = [f"line {line.seq} seals another attempt: {line.text}" for line in seals if not _seals(line, attempt)]
    if len(seals) > 1:
        found.append(f"sealed {len(seals)} times, by lines {brief([line.seq for line in seals])}")
    if seals and lines[-1] is not seals[-1]:
        found.append(f"goes on behind its seal, line {seals[-1].seq}")
    if attempt.reason == "executor_lost" and not seals:
        found.append("was lost with its executor and is not sealed")
    return found


def _seals(line: LogLine, attempt: Attempt) -> bool:
    match = _SEAL.fullmatch(line.text)
    return match is not None and int(match[1]) == attempt.number


def copy_violations(
    what: str, stored: Mapping[str, Sequence[LogLine]], copy: Mapping[str, Sequence[LogLine]]
) -> list[str]:
    """Where a copy of the lines is not what the log stream has."""
    found: list[str] = []
    for name in sorted(stored.keys() | copy.keys()):
        ours, theirs = stored.get(name, ()), copy.get(name, ())
        wrong = numbering([line.seq for line in theirs], len(ours))
        if wrong is not None:
            found.append(f"{name}: {what}: {wrong}")
            continue
        for one, other in zip(ours, theirs, strict=True):
            if content(one) != content(other):
                found.append(f"{name}: {what}: line {one.seq} is {other.text[:60]!r}, stored was {one.text[:60]!r}")
                break
    return found


def content(line: LogLine) -> tuple[object, ...]:
    """All that makes a line."""
    return line.seq, line.time, line.stream, line.text, line.partial
