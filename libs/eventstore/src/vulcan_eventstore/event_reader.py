"""Pages of the event log by its own numbering, across workloads: for readers that come, read and go."""

from msgspec import Struct

from vulcan_contracts import subjects
from vulcan_contracts.events import Recorded
from vulcan_eventstore import jetstream
from vulcan_eventstore.connection import Bus
from vulcan_eventstore.records import recorded


class EventSlice(Struct, frozen=True):
    """Events in order. `position` is how far was read; `more`: there are further ones already.

    `more` without an event means that the replica that answered has yet to catch up.
    """

    events: list[Recorded]
    position: int
    more: bool


class EventReader:
    """Reads events that match a subject, wildcards allowed."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def read(self, filter_subject: str, *, after_seq: int, limit: int) -> EventSlice:
        """Up to `limit` events after `after_seq`; fewer, with `more`, where they are large.

        Raises:
            EventStoreUnavailableError: NATS does not answer.
        """
        stored = await jetstream.direct_many(
            self._bus, subjects.EVENTS_STREAM, filter_subject, from_seq=after_seq + 1, limit=limit
        )
        decoded = [recorded(each.seq, each.subject, each.data) for each in stored]
        position = stored[-1].seq if stored else after_seq
        more = bool(stored) and stored[-1].headers.get("Nats-Num-Pending") != "0"
        if not more and self._bus.settings.replicas > 1:
            # Any replica answers a direct get, also one that lags: what it takes for the end the leader may not.
            more = await self.newest(filter_subject) > position
        return EventSlice([event for event in decoded if event is not None], position, more)

    async def newest(self, filter_subject: str) -> int:
        """The sequence of the newest event that matches; 0 if there is none.

        Raises:
            EventStoreUnavailableError: NATS does not answer.
        """
        stored = await jetstream.leader_last(self._bus, subjects.EVENTS_STREAM, filter_subject)
        return 0 if stored is None else stored.seq
