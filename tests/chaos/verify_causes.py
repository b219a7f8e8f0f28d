"""No process ended but those that were killed, and no attempt was lost but with its executor or its host."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from chaos.plan import DENO, EXECUTOR
from chaos.records import Attempt, Event, brief
from vulcan_contracts.events import Scheduled, decode_data

_END: Final = re.compile(r"vulcan up: (ended by signal \d+|ended with exit code \d+|cannot start: .*?)(?:;|,|$)")
_KILLED: Final = "ended by signal 9"


def incarnations(events: Sequence[Event]) -> list[str]:
    """Every life of the executor that was given work, in order."""
    given = (decode_data(event.envelope) for event in events)
    return list(dict.fromkeys(data.incarnation for data in given if isinstance(data, Scheduled)))


def host_died(jails: Iterable[str]) -> frozenset[str]:
    """The reasons of attempts whose host was killed. Without a jail, a program may have done that to itself."""
    return frozenset({"backend_error", "signaled"} if "none" in jails else {"backend_error"})


def violations(
    kills: Mapping[str, int],
    logs: Mapping[str, Iterable[str]],
    attempts: Mapping[str, Sequence[Attempt]],
    lives: Sequence[str],
    host_died: Collection[str],
) -> list[str]:
    """What happened without a cause.

    kills: by kind. logs: the lines of each service's log file, the supervisor's notes included. lives: `incarnations`.
    host_died: reasons.
    """
    return [*_ends(kills, logs), *_hosts(kills, attempts, host_died), *_executors(kills, attempts, lives)]


def _ends(kills: Mapping[str, int], logs: Mapping[str, Iterable[str]]) -> list[str]:
    found: list[str] = []
    for service, lines in logs.items():
        ends = Counter(match[1] for line in lines if (match := _END.search(line)))
        if ends[_KILLED] != kills.get(service, 0):
            found.append(f"{service}: killed {kills.get(service, 0)} times, but {_KILLED} {ends[_KILLED]} times")
        found += [f"{service}: {end}, {times} times" for end, times in ends.items() if end != _KILLED]
    return found


def _hosts(
    kills: Mapping[str, int], attempts: Mapping[str, Sequence[Attempt]], host_died: Collection[str]
) -> list[str]:
    broken = [
        f"{name} attempt {attempt.number}"
        for name, own in attempts.items()
        for attempt in own
        if attempt.reason in host_died
    ]
    if len(broken) <= kills.get(DENO, 0):
        return []
    return [f"{kills.get(DENO, 0)} hosts were killed, but more attempts ended with them: {brief(broken)}"]


def _executors(kills: Mapping[str, int], attempts: Mapping[str, Sequence[Attempt]], lives: Sequence[str]) -> list[str]:
    found: list[str] = []
    if len(lives) > kills.get(EXECUTOR, 0) + 1:
        found.append(f"the executor was killed {kills.get(EXECUTOR, 0)} times and had the lives {brief(lives)}")
    found += [
        f"{name}: attempt {attempt.number} was lost with {attempt.incarnation}, which is alive"
        for name, own in attempts.items()
        for attempt in own
        if attempt.reason == "executor_lost" and attempt.incarnation == max(lives)
    ]
    return found
