"""What the scheduler's tasks share: the plan, the clocks it is asked by, and a bell for whoever decides."""

import asyncio
import time
from collections.abc import Callable

from vulcan_scheduler.domain.board import Limits
from vulcan_scheduler.domain.explain import Explainer
from vulcan_scheduler.domain.now import Now
from vulcan_scheduler.domain.plan import Plan


def read_clocks() -> Now:
    """Both clocks of this machine."""
    return Now(time.monotonic(), time.time())


class Desk:
    """One plan, in one event loop. Whoever tells the plan something rings the bell.

    active: this scheduler decides now. led: it did until it was stopped, or does.
    """

    def __init__(self, limits: Limits, clocks: Callable[[], Now] = read_clocks) -> None:
        self.plan = Plan(limits)
        self.explainer = Explainer(self.plan)
        self.now = clocks
        self.active = False
        self.led = False
        self._bell = asyncio.Event()

    def ring(self) -> None:
        """Something has changed that may lead to a decision."""
        self._bell.set()

    async def wait(self, timeout_s: float) -> None:
        """Return at the next ring, at once if there was one since the last return, or after the timeout."""
        if not self._bell.is_set():
            timer = asyncio.get_running_loop().call_later(timeout_s, self._bell.set)
            try:
                await self._bell.wait()
            finally:
                timer.cancel()
        self._bell.clear()
