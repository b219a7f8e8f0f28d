"""What will be done, from the seed alone: which processes are killed and when, and what is submitted meanwhile.

When things happen in the platform is another matter: a seed repeats the plan, not the race.
"""

import itertools
import random
from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

KINDS: Final = ("gateway", "scheduler", "executor-v8", "logstore", "nats", "postgres", "deno")
"""The services by the supervisor's names for them, and the hosts that the executor starts."""

RETRIED: Final = ("executor_lost", "backend_error", "signaled")
DENO: Final = "deno"
EXECUTOR: Final = "executor-v8"
_TOGETHER: Final = 0.1
_CLOSE: Final = 0.1
_CLOSE_S: Final = 0.3


class Kill(NamedTuple):
    """Wait `gap_s`, then end one process of this kind; `pick`, from 0 to 1, says which if there are several."""

    gap_s: float
    kind: str
    pick: float


def kills(seed: int, count: int, interval_s: float) -> list[Kill]:
    """So many kills, `interval_s` apart on average; one in ten at once with the one before, one in ten close behind it.

    Kinds are dealt like cards, each once before any comes again: in 7 n kills each is hit n times, whatever the seed.
    """
    rng = random.Random(f"kills {seed}")
    deal = itertools.chain.from_iterable(rng.sample(KINDS, len(KINDS)) for _ in itertools.count())
    longest_s = 2 * (interval_s - _CLOSE * _CLOSE_S / 2) / (1 - _TOGETHER - _CLOSE)

    def gap_s() -> float:
        which = rng.random()
        return 0.0 if which < _TOGETHER else rng.uniform(0, _CLOSE_S if which < _TOGETHER + _CLOSE else longest_s)

    return [Kill(gap_s=gap_s(), kind=kind, pick=rng.random()) for kind in itertools.islice(deal, count)]


Way = Literal["wait", "async", "stream"]
_WAYS: Final[tuple[Way, ...]] = ("wait", "async", "stream")


class Job(NamedTuple):
    """One workload to submit.

    It prints `out` numbered lines to stdout and `err` to stderr, `pad` characters behind each, with a pause of
    `pause_ms` after each of stdout. `way`: which call submits it. `readers` follow it beside the submitter, and
    `droppers` more who leave and come back. After `kill_after_s` somebody asks for its end.
    """

    key: str
    out: int
    err: int
    pad: int
    pause_ms: int
    attempts: int
    way: Way
    readers: int = 0
    droppers: int = 0
    kill_after_s: float | None = None

    @property
    def code(self) -> str:
        """The program. A random word in each line tells one execution from another."""
        return (
            "const run = crypto.randomUUID().slice(0, 8);\n"
            f"const pad = 'x'.repeat({self.pad}), out = {self.out}, err = {self.err};\n"
            "let e = 0;\n"
            "for (let i = 1; i <= out; i++) {\n"
            "  console.log(`out ${run} ${i} ${pad}`);\n"
            "  while (e < Math.floor(err * i / out)) console.error(`err ${run} ${++e} ${pad}`);\n"
            f"  if ({self.pause_ms}) await new Promise((go) => setTimeout(go, {self.pause_ms}));\n"
            "}\n"
        )

    @property
    def spec(self) -> dict[str, object]:
        """The body of the submit."""
        return {
            "source": {"type": "inline", "code": self.code},
            "runtime": "javascript",
            "timeout_s": 300,
            "retry": {"max_attempts": self.attempts, "on": RETRIED},
        }


def pulse(seed: int, number: int) -> Job:
    """A workload so small that it tells whether the platform works."""
    return Job(key=f"{seed}-pulse-{number}", out=1, err=0, pad=0, pause_ms=0, attempts=10, way="wait")


def jobs(seed: int, client: int) -> Iterator[Job]:
    """What one client submits, one after the other, without end."""
    rng = random.Random(f"client {client} of {seed}")
    for number in itertools.count(1):
        key = f"{seed}-{client}-{number}"
        way = rng.choice(_WAYS)
        attempts = rng.choice((1, 2, 10, 10))
        shape = rng.random()
        if shape < 0.1:
            out, err, pad, pause_ms = rng.randint(1200, 2500), 0, rng.choice((0, 80)), 0
        elif shape < 0.5:
            out, err, pad, pause_ms = rng.randint(1, 60), rng.randint(0, 10), rng.choice((0, 10, 2000)), 0
        else:
            out, err, pad, pause_ms = rng.randint(10, 60), rng.randint(0, 20), 10, rng.randint(20, 120)
        kill_after_s = rng.uniform(0, 3) if pause_ms and way == "async" and rng.random() < 0.25 else None
        readers, droppers = (rng.randint(0, 2), rng.randint(0, 1)) if way == "async" else (0, 0)
        yield Job(key, out, err, pad, pause_ms, attempts, way, readers, droppers, kill_after_s)
