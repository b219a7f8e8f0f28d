"""Runs per second that the V8 backend sustains on all cores, against processes of `deno run` on all cores.

Sustained: the clock stops when every host that served a run is ready for another, so that no sample lives on what was
made ready before it, or leaves work to the other arm. Each arm works at the concurrency at which it is fastest here,
which is found first.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from bench import v8_runs
from bench.harness import Figure, Options, compare, interleave
from support.v8_backend import backend

_RUNS: Final = 32
"""In a sample."""
_TRIALS: Final = 3


def figures(options: Options) -> list[Figure]:
    """The median of both arms."""
    script = options.folder / "main.js"
    script.write_text(v8_runs.CODE)
    with asyncio.Runner() as runner:
        made = backend(warm_hosts=4, max_warm_hosts=32, slots=4 * _cores())
        v8 = runner.run(made.__aenter__())
        try:
            runner.run(v8.probe())
            ours = partial(v8_runs.sustained, v8, runs=_RUNS)
            theirs = partial(v8_runs.deno_run, script, runs=_RUNS)
            our_best, their_best = runner.run(_best(ours)), runner.run(_best(theirs))
            taken = interleave(
                lambda: runner.run(ours(our_best)), lambda: runner.run(theirs(their_best)), samples=options.samples
            )
        finally:
            runner.run(made.__aexit__(None, None, None))
    what = f"v8: runs on all cores ({our_best} at once), against deno run ({their_best} at once)"
    return [compare(taken, identity="v8-throughput", what=what, unit="/s", goal=2.5, better="higher", quantile=50)]


async def _best(per_second: Callable[[int], Awaitable[float]]) -> int:
    """How many at once give the most."""
    found: dict[int, float] = {}
    for at_once in range(_cores(), 4 * _cores() + 1, max(1, _cores() // 2)):
        found[at_once] = max([await per_second(at_once) for _ in range(_TRIALS)])
    return max(found, key=lambda at_once: found[at_once])


def _cores() -> int:
    return len(os.sched_getaffinity(0))
