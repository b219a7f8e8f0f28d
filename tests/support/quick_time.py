"""An event loop whose clock jumps: where a real one would sleep, hours pass at once, and everything else is as ever."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


_TURN_S = 0.0001
"""How long one turn of the loop takes."""


class _Jumps(selectors.SelectSelector):
    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert timeout is not None, "nothing will ever happen any more"
        self.now += max(_TURN_S, timeout)
        return super().select(0)


class QuickLoop(asyncio.SelectorEventLoop):
    """Runs what is due; `pass_time` lets time go by."""

    def __init__(self) -> None:
        self._jumps = _Jumps()
        super().__init__(self._jumps)

    def time(self) -> float:
        """The clock that jumps."""
        return self._jumps.now

    def pass_time(self, seconds: float) -> None:
        """Let everything run that happens within this time; with 0, one turn of the loop."""
        self.run_until_complete(asyncio.sleep(seconds))

    def end(self, *tasks: "asyncio.Task[Any]") -> None:
        """Cancel these and wait for their end."""
        for task in tasks:
            task.cancel()
        if tasks:
            self.run_until_complete(asyncio.wait(tasks))

    def task(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """Begin this in the background."""
        return self.create_task(work)
