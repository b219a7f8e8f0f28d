"""Trying again: after longer and longer pauses, never in step with others, never while NATS is known to be away."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from vulcan_eventstore import metrics
from vulcan_eventstore.connection import Bus
from vulcan_eventstore.errors import BusClosedError, EventStoreUnavailableError

_FACTOR: Final = 2.0

T = TypeVar("T")


class Backoff:
    """The pauses of one retried action, from `first_s` up to `longest_s`, each cut by up to a half at random."""

    def __init__(self, first_s: float = 0.02, longest_s: float = 1.0) -> None:
        self._next_s = first_s
        self._longest_s = longest_s

    async def pause(self) -> None:
        """Wait, longer than the last time."""
        wait_s = self._next_s * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret
        self._next_s = min(self._next_s * _FACTOR, self._longest_s)
        await asyncio.sleep(wait_s)


async def patiently(bus: Bus, kind: str, action: Callable[[], Awaitable[T]]) -> T:
    """Repeat an action that is safe to repeat until NATS answers it. The caller sets the deadline around it.

    kind: the label under which the repeats are counted; one of a closed set.

    Raises:
        BusClosedError: the connection is closed for good.
    """
    backoff = Backoff()
    while True:
        try:
            await bus.wait_connected(bus.settings.request_timeout_s)
            return await action()
        except BusClosedError:
            raise
        except EventStoreUnavailableError:
            metrics.RETRIES.labels(kind).inc()
        await backoff.pause()


async def within(deadline_s: float, action: Awaitable[T]) -> T:
    """The action's result, if it comes in time.

    Raises:
        EventStoreUnavailableError: it did not.
    """
    try:
        async with asyncio.timeout(deadline_s):
            return await action
    except TimeoutError:
        raise EventStoreUnavailableError(f"NATS did not do it within {deadline_s:g} s") from None


async def at_start(bus: Bus, action: Callable[[], Awaitable[T]]) -> T:
    """One step of a start, which is safe to repeat: NATS may go away in the middle of it, and be back a moment later.

    Raises:
        EventStoreUnavailableError: NATS was away for longer than a first connection is tried.
    """
    return await within(bus.settings.connect_timeout_s, patiently(bus, "start", action))
