"""What a run did, in numbers."""

import math
from collections import Counter
from collections.abc import Sequence
from itertools import zip_longest
from typing import NamedTuple, Self

from chaos.killer import Killed
from chaos.load import Load, Pulse
from chaos.plan import KINDS
from chaos.verify_events import Histories


class Recovery(NamedTuple):
    """From a kill to the end of the first workload that was submitted after it, run to its end and listed."""

    kind: str
    seconds: float


class Summary(NamedTuple):
    """See `text`."""

    seed: int
    kills: Counter[str]
    busy_hosts: int
    workloads: int
    ends: Counter[str]
    attempts: int
    lost: Counter[str]
    lines: int
    readers: int
    reconnects: int
    failures: int
    rebuilds: int
    recoveries: list[Recovery]

    @classmethod
    def of(
        cls, seed: int, kills: Sequence[Killed], load: Load, histories: Histories, lines: int, failures: int
    ) -> Self:
        """Count."""
        attempts = [attempt for own in histories.attempts.values() for attempt in own]
        readings = load.work.readings
        return cls(
            seed=seed,
            kills=Counter(killed.kind for killed in kills),
            busy_hosts=sum(1 for killed in kills if killed.busy),
            workloads=len(load.work.submitted),
            ends=Counter(state.state for state in histories.states.values()),
            attempts=len(attempts),
            lost=Counter(attempt.reason for attempt in attempts if attempt.reason is not None),
            lines=lines,
            readers=len(readings),
            reconnects=sum(max(0, reading.connections - 1) for reading in readings),
            failures=failures,
            rebuilds=load.rebuilds,
            recoveries=recoveries(kills, load.pulses),
        )

    def text(self) -> str:
        """The summary as it is printed."""
        rows = {
            "kills": f"{sum(self.kills.values())}: {_counts({kind: self.kills[kind] for kind in KINDS})}; "
            f"{self.busy_hosts} of the hosts ran something",
            "workloads": f"{self.workloads}: {_counts(self.ends)}",
            "attempts": f"{self.attempts}, not to their own end: {_counts(self.lost) or 'none'}",
            "lines": f"{self.lines}",
            "readers": f"{self.readers}, with {self.reconnects} reconnects",
            "clients": f"{self.failures} calls failed and were repeated; {self.rebuilds} rebuilds meanwhile",
            "recovery": f"{_slowest(self.recoveries) or 'none'} at most ({len(self.recoveries)} kills that no other "
            "followed until then)",
        }
        told = [f"  {name:<12}{text}" for name, text in rows.items()]
        return "\n".join([f"seed {self.seed}: everything held", *told])


def recoveries(kills: Sequence[Killed], pulses: Sequence[Pulse]) -> list[Recovery]:
    """How long each kill was felt, of those whose end no other kill delayed."""
    found = []
    for killed, following in zip_longest(kills, kills[1:]):
        ended = min((pulse.ended for pulse in pulses if pulse.begun >= killed.at), default=math.inf)
        if ended < (math.inf if following is None else following.at):
            found.append(Recovery(killed.kind, ended - killed.at))
    return found


def _slowest(found: Sequence[Recovery]) -> str:
    """The slowest of each kind."""
    slowest = {kind: max((each.seconds for each in found if each.kind == kind), default=None) for kind in KINDS}
    return ", ".join(f"{kind} {seconds:.1f} s" for kind, seconds in slowest.items() if seconds is not None)


def _counts(counts: Counter[str] | dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())
