"""What may end a run from outside, at any moment and from any side: the first to come counts."""

import asyncio
from typing import Any

from vulcan_contracts.reasons import Reason
from vulcan_sandbox.ending import Cut
from vulcan_sandbox.protocol import BackendFaultError


class Interrupts:
    """The wish to end one run, and whose wish it is. After `settle` the code has ended and wishes come too late."""

    def __init__(self) -> None:
        self._raised: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._settled = False
        self.cut: Cut | None = None
        self.fault: BackendFaultError | None = None
        self.dropped = False
        """The attempt is another's: end it without a word."""

    @property
    def raised(self) -> bool:
        """True once anything happened."""
        return self._raised.done()

    @property
    def from_outside(self) -> bool:
        """True if somebody wants it ended for whom the code may be doing well."""
        wished = self.cut is not None and self.cut.reason in (Reason.KILLED_BY_USER, Reason.EXECUTOR_LOST)
        return self.dropped or wished

    def end(self, cut: Cut) -> None:
        """End the code, for a reason that becomes its outcome."""
        if self.cut is None and not self._settled:
            self.cut = cut
            self._raise()

    def fail(self, fault: BackendFaultError) -> None:
        """End the code: the host cannot go on with it."""
        if self.fault is None:
            self.fault = fault
            self._raise()

    def drop(self) -> None:
        """End the code: the attempt was taken from us."""
        self.dropped = True
        self._raise()

    def settle(self) -> None:
        """The code ended by itself. Output that was cut off before stays cut off; other wishes have no object."""
        self._settled = True
        if self.cut is not None and self.cut.reason is not Reason.OUTPUT_LIMIT:
            self.cut = None

    async def wait_with(self, *work: "asyncio.Future[Any]", timeout_s: float | None = None) -> None:
        """Return when any of this work is done, anything was raised, or the time is over."""
        # asyncio.wait does the same at twice the cost, several times in each run.
        futures = (*work, self._raised)
        if any(future.done() for future in futures):
            return
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()

        def wake(_done: "asyncio.Future[Any] | None" = None) -> None:
            if not waiter.done():
                waiter.set_result(None)

        for future in futures:
            future.add_done_callback(wake)
        timer = None if timeout_s is None else loop.call_later(timeout_s, wake)
        try:
            await waiter
        finally:
            for future in futures:
                future.remove_done_callback(wake)
            if timer is not None:
                timer.cancel()

    def _raise(self) -> None:
        if not self._raised.done():
            self._raised.set_result(None)


async def stop_task(task: "asyncio.Task[Any]", timeout_s: float) -> bool:
    """Cancel a task and wait for its end, whatever that is. False if it does not end in time."""
    if not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=timeout_s)
    return task.done()
