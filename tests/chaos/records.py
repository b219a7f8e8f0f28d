"""What the verifiers judge: plain records of what was asked, what is stored, and what readers saw."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from chaos.plan import Job
from vulcan_contracts.events import Envelope
from vulcan_contracts.logs import LogBatch, LogLine


class Event(NamedTuple):
    """A message of the event stream."""

    seq: int
    subject: str
    envelope: Envelope


class Batch(NamedTuple):
    """A message of the log stream that holds lines."""

    seq: int
    subject: str
    batch: LogBatch


@dataclass(kw_only=True)
class Submitted:
    """A workload that the platform has accepted, as its client knows it."""

    id: str
    job: Job
    kill_asked: bool = False


@dataclass(kw_only=True)
class Reading:
    """What one reader of a workload's lines saw, over all its connections, and how often it was told the end."""

    workload_id: str
    kind: str
    lines: list[LogLine] = field(default_factory=list)
    done: list[dict[str, Any]] = field(default_factory=list)
    connections: int = 0

    @property
    def position(self) -> int:
        """The last line that it has."""
        return self.lines[-1].seq if self.lines else 0


class Attempt(NamedTuple):
    """One attempt as the event log tells it ended. `first` and `last` are the lines that are its own."""

    number: int
    first: int
    last: int
    end: str
    reason: str | None
    incarnation: str | None


Row = dict[str, Any]
"""A row of a table by its columns."""


def some(offenders: Iterable[str], limit: int = 5) -> list[str]:
    """The first of a list that may be long, and how many there are beyond."""
    found = list(offenders)
    return found if len(found) <= limit else [*found[:limit], f"... and {len(found) - limit} more"]


def brief(numbers: Sequence[object], limit: int = 8) -> str:
    """A list in words that stay short."""
    shown = ", ".join(map(str, numbers[:limit]))
    return shown if len(numbers) <= limit else f"{shown}, ... ({len(numbers)})"
