"""What is being stored right now, over one core subscription for the whole process.

The server republishes each message that it stored; there is no consumer and no acknowledgement, so this copy can have
holes: while the connection is down, or when the callback is slower than the messages come. Each is said through
`on_gap`; whoever cares reads the log then. Versions of events and numbers of log lines are contiguous, so a reader can
also tell by itself.
"""

from collections.abc import Callable
from typing import TypeVar

from vulcan_contracts import subjects
from vulcan_contracts.events import Recorded
from vulcan_eventstore import metrics
from vulcan_eventstore.backoff import at_start
from vulcan_eventstore.connection import Bus, Subscription
from vulcan_eventstore.message import Message
from vulcan_eventstore.records import SEQUENCE, StoredBatch, recorded, stored_batch

__all__ = ["LiveFeed", "StoredBatch", "live_events", "live_logs"]

T = TypeVar("T")


def _no_gap() -> None:
    """Nobody wants to know."""


class LiveFeed:
    """A live subscription, until `close`."""

    def __init__(self, subscription: Subscription, remove_hook: Callable[[], None]) -> None:
        self._subscription = subscription
        self._remove_hook = remove_hook

    async def close(self) -> None:
        """End it. Safe to repeat."""
        self._remove_hook()
        await self._subscription.close()


async def live_events(
    bus: Bus,
    callback: Callable[[Recorded], None],
    *,
    filter_subject: str = subjects.ALL_EVENTS,
    on_gap: Callable[[], None] = _no_gap,
) -> LiveFeed:
    """Call back with each event that is stored from now on; it is active on return.

    on_gap: said when events may have been missed, once the feed is whole again.

    Raises:
        EventStoreUnavailableError: NATS does not answer.
    """
    return await _feed(
        bus, filter_subject, lambda message: recorded(_seq(message), message.subject, message.data), callback, on_gap
    )


async def live_logs(
    bus: Bus,
    callback: Callable[[StoredBatch], None],
    *,
    filter_subject: str = subjects.ALL_LOGS,
    on_gap: Callable[[], None] = _no_gap,
) -> LiveFeed:
    """Call back with each log batch that is stored from now on; it is active on return.

    on_gap: said when batches may have been missed, once the feed is whole again.

    Raises:
        EventStoreUnavailableError: NATS does not answer.
    """
    return await _feed(
        bus,
        filter_subject,
        lambda message: stored_batch(_seq(message), message.subject, message.data, message.headers),
        callback,
        on_gap,
    )


async def _feed(
    bus: Bus,
    filter_subject: str,
    decode: Callable[[Message], T | None],
    callback: Callable[[T], None],
    on_gap: Callable[[], None],
) -> LiveFeed:
    dropped = False

    def overflow() -> None:
        nonlocal dropped
        dropped = True

    async def receive(message: Message) -> None:
        # One word for all messages dropped since the last one got through: a reader that reads the log now, has them.
        nonlocal dropped
        if dropped:
            dropped = False
            metrics.OVERFLOWS.inc()
            on_gap()
        value = decode(message)
        if value is not None:
            callback(value)

    subscription = await bus.subscribe(subjects.live(filter_subject), receive, on_overflow=overflow)
    feed = LiveFeed(subscription, bus.on_reconnect(on_gap))
    try:
        await at_start(bus, bus.settle)
    except BaseException:
        await feed.close()
        raise
    return feed


def _seq(message: Message) -> int:
    return int(message.headers.get(SEQUENCE, "0"))
