"""Reads that outlast a short absence of NATS: a caller would sooner wait a moment than be told to come back."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from vulcan_eventstore.backoff import patiently, within
from vulcan_eventstore.connection import Bus

T = TypeVar("T")

_KIND: Final = "gateway_read"


class Patience:
    """Repeats a read until NATS answers it, for a while."""

    def __init__(self, bus: Bus, deadline_s: float) -> None:
        self._bus = bus
        self._deadline_s = deadline_s

    async def read(self, action: Callable[[], Awaitable[T]]) -> T:
        """What the read gives.

        Raises:
            EventStoreUnavailableError: NATS was away all the time.
        """
        return await within(self._deadline_s, patiently(self._bus, _KIND, action))
