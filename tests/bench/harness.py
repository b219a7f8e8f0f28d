"""Two arms, taken in turn, compared as a ratio: the one form that every benchmark here has.

These machines drift, so an absolute time says little; a ratio of medians of interleaved samples says something.
"""

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from msgspec import Struct

Arm = Callable[[], float]
"""Does the thing once; gives the figure in the benchmark's unit."""


class Figure(Struct, frozen=True, kw_only=True):
    """A comparison as it is written down. `ratio` is ours over theirs; `better` says which way is good."""

    id: str
    what: str
    ours: float
    theirs: float
    unit: str
    ratio: float
    goal: float
    better: Literal["lower", "higher"]
    samples: int

    @property
    def reached(self) -> bool:
        """True if the ratio is on the good side of the goal."""
        return self.ratio <= self.goal if self.better == "lower" else self.ratio >= self.goal


class Options(Struct, frozen=True, kw_only=True):
    """What every benchmark is given."""

    samples: int
    """Of each arm, at least."""
    folder: Path
    """An empty one of its own, removed afterwards."""


Benchmark = Callable[[Options], list[Figure]]
"""Starts what it needs, measures, and leaves nothing running."""


class Samples(Struct, kw_only=True):
    """What the two arms gave, in the order taken."""

    ours: list[float]
    theirs: list[float]


def interleave(ours: Arm, theirs: Arm, *, samples: int, warm_up: int = 3, rest_s: float = 0.0) -> Samples:
    """Take both arms in turn, A B A B ..., after some that do not count.

    rest_s: before each sample; what the one before left to do is not to slow the other arm.
    """
    taken = Samples(ours=[], theirs=[])
    for sample in range(-warm_up, samples):
        for arm, kept in ((ours, taken.ours), (theirs, taken.theirs)):
            time.sleep(rest_s)
            value = arm()
            if sample >= 0:
                kept.append(value)
    return taken


def compare(
    taken: Samples,
    *,
    identity: str,
    what: str,
    unit: str,
    goal: float,
    better: Literal["lower", "higher"],
    quantile: float,
) -> Figure:
    """The figure at a quantile of both arms, in percent (50: the median)."""
    ours, theirs = at_quantile(taken.ours, quantile), at_quantile(taken.theirs, quantile)
    return Figure(
        id=identity,
        what=what,
        ours=ours,
        theirs=theirs,
        unit=unit,
        ratio=ours / theirs,
        goal=goal,
        better=better,
        samples=len(taken.ours),
    )


def at_quantile(values: list[float], percent: float) -> float:
    """The value at a percentile, interpolated."""
    if percent == 50:
        return statistics.median(values)
    return statistics.quantiles(values, n=100, method="inclusive")[round(percent) - 1]


def milliseconds(action: Callable[[], object]) -> float:
    """How long the action takes."""
    started = time.perf_counter()
    action()
    return (time.perf_counter() - started) * 1000
