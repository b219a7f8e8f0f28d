"""Follow the events or the log batches of everybody, from a position on: in order, each once, as soon as it is stored.

The iterators never end by themselves. They outlive a server that goes and comes back; what they yielded is never
yielded again. Close them (`contextlib.aclosing`) to let the server forget them at once.
"""

from collections.abc import AsyncGenerator, Callable
from typing import Final, TypeVar

from vulcan_contracts import subjects
from vulcan_contracts.events import Recorded
from vulcan_eventstore.connection import Bus
from vulcan_eventstore.ordered import OrderedReader, last_seq
from vulcan_eventstore.records import StoredBatch, recorded, stored_batch

__all__ = ["StoredBatch", "follow_events", "follow_logs", "last_event_seq", "last_log_seq"]

_EVENTS_BATCH: Final = 500
_LOGS_BATCH: Final = 200

T = TypeVar("T")


async def last_event_seq(bus: Bus) -> int:
    """The sequence of the newest event. Asked before something starts, it is where to follow from to miss nothing."""
    return await last_seq(bus, subjects.EVENTS_STREAM)


async def last_log_seq(bus: Bus) -> int:
    """The sequence of the newest log batch."""
    return await last_seq(bus, subjects.LOGS_STREAM)


def follow_events(
    bus: Bus,
    *,
    filter_subject: str = subjects.ALL_EVENTS,
    after_seq: int | None = 0,
    max_batch: int = _EVENTS_BATCH,
    linger_s: float = 0.0,
) -> AsyncGenerator[list[Recorded], None]:
    """Events behind `after_seq` (None: behind the newest at the first iteration), in batches of at most `max_batch`.

    A batch that is not full waits `linger_s` for more.

    Raises:
        PositionLostError: the log ends before `after_seq`.
        BusClosedError: the connection is closed for good.
    """
    return _follow(bus, subjects.EVENTS_STREAM, recorded, filter_subject, after_seq, max_batch, linger_s)


def follow_logs(
    bus: Bus,
    *,
    filter_subject: str = subjects.ALL_LOGS,
    after_seq: int | None = 0,
    max_batch: int = _LOGS_BATCH,
    linger_s: float = 0.0,
) -> AsyncGenerator[list[StoredBatch], None]:
    """Log batches behind `after_seq` (None: behind the newest at the first iteration), at most `max_batch` at a time.

    What is not `max_batch` yet waits `linger_s` for more.

    Raises:
        PositionLostError: the log ends before `after_seq`.
        BusClosedError: the connection is closed for good.
    """
    return _follow(bus, subjects.LOGS_STREAM, stored_batch, filter_subject, after_seq, max_batch, linger_s)


async def _follow(
    bus: Bus,
    stream: str,
    decode: Callable[[int, str, bytes], T | None],
    filter_subject: str,
    after_seq: int | None,
    max_batch: int,
    linger_s: float,
) -> AsyncGenerator[list[T], None]:
    if after_seq is None:
        after_seq = await last_seq(bus, stream)
    reader = OrderedReader(
        bus, stream, filter_subject=filter_subject, after_seq=after_seq, max_batch=max_batch, linger_s=linger_s
    )
    try:
        while True:
            decoded = [decode(each.seq, each.subject, each.data) for each in await reader.next()]
            batch = [each for each in decoded if each is not None]
            if batch:
                yield batch
    finally:
        await reader.close()
