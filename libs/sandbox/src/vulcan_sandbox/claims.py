"""The node's queue, as the run loop sees it."""

from collections.abc import Sequence
from typing import Protocol

from vulcan_chassis import logs
from vulcan_contracts.dispatch import Assignment
from vulcan_eventstore.errors import BusClosedError, EventStoreUnavailableError


class Claim(Protocol):
    """An assignment taken from the node's queue."""

    @property
    def assignment(self) -> Assignment:
        """What is to be run."""
        ...

    async def done(self) -> None:
        """Take it off the queue for good."""
        ...


class Claims(Protocol):
    """The node's queue."""

    async def take(self, max_claims: int, timeout_s: float) -> Sequence[Claim]:
        """Up to that many, waiting for the first; empty if none came in time."""
        ...


async def release(claim: Claim) -> None:
    """Take a claim off the queue, if that is possible now: else it comes again, and is dropped.

    The event log knows better than the queue whose the attempt is.

    Raises:
        BusClosedError: the connection is closed for good.
    """
    try:
        await claim.done()
    except BusClosedError:
        raise
    except EventStoreUnavailableError as error:
        logs.get().debug("claim not released", error=str(error))
