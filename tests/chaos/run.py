"""One chaos run: start, load and kill, let everything end, compare, stop, look for leftovers."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from chaos import plan, verify_leftovers
from chaos.api import Api, GaveUpError
from chaos.collect import NotCaughtUpError
from chaos.compare import Comparison
from chaos.family import Family
from chaos.killer import Killed, Killer, NotBackError
from chaos.load import Load
from chaos.records import some
from chaos.summary import Summary
from support.stack import Stack

SETTLE_S: Final = 150.0
"""How long what was begun may take to end once nothing is killed any more."""
_WARM_UP_S: Final = 1.0
_LOG_FILE_BYTES: Final = 1 << 28


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to do. The same seed means the same plan."""

    seed: int
    kills: int = 30
    interval_s: float = 3.0
    clients: int = 8


class ChaosFailedError(AssertionError):
    """What did not hold, how to repeat it, and where the data is."""

    def __init__(self, options: Options, data: Path, violations: dict[str, list[str]]) -> None:
        lines = [f"seed {options.seed}, {options.kills} kills: not everything held"]
        for what, found in violations.items():
            lines += [f"{what}:", *(f"  {wrong}" for wrong in some(found))]
        lines += [
            f"repeat: make chaos KILLS={options.kills} SEED={options.seed}",
            f"the data directory, with the logs of all services, is kept: {data}",
        ]
        super().__init__("\n".join(lines))


@dataclass(kw_only=True)
class Chaos:
    """One run. `folder` is empty at first; `say` takes a line of progress."""

    options: Options
    folder: Path
    say: Callable[[str], None]
    violations: dict[str, list[str]] = field(default_factory=dict)

    async def run(self) -> Summary:
        """All of it.

        Raises:
            ChaosFailedError: something did not hold.
        """
        data, temp = self.folder / "data", self.folder / "tmp"
        temp.mkdir(parents=True)
        earlier = verify_leftovers.before()
        begun = time.monotonic()
        stack = await _started(data, TMPDIR=str(temp), VULCAN_LOG_FILE_BYTES=str(_LOG_FILE_BYTES))
        summary: Summary | None = None
        try:
            self.say(f"started in {time.monotonic() - begun:.1f} s")
            family = Family(stack, temp)
            try:
                summary = await self._on(stack, family)
            except* (GaveUpError, NotBackError, NotCaughtUpError) as errors:
                self._judge("comes back", [str(error) for error in _leaves(errors)])
            family.look()
        finally:
            stack.stop()
        self._judge("left on the machine", verify_leftovers.violations(family.traces, earlier))
        if self.violations or summary is None:
            raise ChaosFailedError(self.options, data, self.violations)
        return summary

    async def _on(self, stack: Stack, family: Family) -> Summary:
        api = Api(stack.url, stack.key)
        try:
            load, killer = await self._disturb(stack, api, family)
            self._judge("answers", [f"{what} ({times} times)" for what, times in api.faults.items()])
            self._judge("answers", load.work.faults)
            self.say("everything has ended; comparing")
            comparison = Comparison(stack, api, load.work, killer, family.database, self._judge)
            await comparison.run()
        finally:
            await api.close()
        lines = sum(map(len, comparison.lines.values()))
        return Summary.of(self.options.seed, killer.kills, load, comparison.histories, lines, api.failures)

    async def _disturb(self, stack: Stack, api: Api, family: Family) -> tuple[Load, Killer]:
        load = Load(api, self.options.seed, self.options.clients)
        planned = plan.kills(self.options.seed, self.options.kills, self.options.interval_s)

        def told(killed: Killed) -> None:
            busy = "" if killed.busy is None else " (busy)" if killed.busy else " (idle)"
            self.say(
                f"kill {len(killer.kills)}/{len(planned)}: {killed.kind}{busy}; {len(load.work.submitted)} workloads "
                f"accepted, {load.work.open} open"
            )

        killer = Killer(stack, planned, done=told)
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(family.watch(), name="watch the family")
            loading = group.create_task(load.run(), name="load")
            await asyncio.sleep(_WARM_UP_S)
            await killer.run()
            load.finish()
            self.say("no more kills; waiting for what is open")
            await asyncio.wait({loading}, timeout=SETTLE_S)
            if not loading.done():
                raise GaveUpError(f"{load.work.open} workloads have not ended in {SETTLE_S:g} s")
            watching.cancel()
        return load, killer

    def _judge(self, what: str, found: Sequence[str]) -> None:
        if found:
            self.violations.setdefault(what, []).extend(found)
            for wrong in some(found):
                self.say(f"VIOLATION {what}: {wrong}")


async def _started(data: Path, **settings: str) -> Stack:
    """A stack that serves; who is cancelled meanwhile leaves none behind."""
    starting = asyncio.create_task(asyncio.to_thread(Stack.start, data, **settings))
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        (await starting).stop()
        raise


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
