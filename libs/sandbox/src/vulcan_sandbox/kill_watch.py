"""Word from the event log that somebody wants a run to end."""

from collections.abc import Callable
from contextlib import aclosing

from vulcan_contracts import subjects
from vulcan_eventstore.connection import Bus
from vulcan_eventstore.follower import follow_events


async def watch_kills(bus: Bus, after_seq: int, kill: Callable[[str], None]) -> None:
    """Give the id of each workload that is to be killed to `kill`, for every request behind `after_seq`.

    A request can only follow `started`, and a run is known here before it starts: with a position taken before the
    first claim, none is missed.
    """
    requests = subjects.tenant_events("*", "kill_requested")
    async with aclosing(follow_events(bus, filter_subject=requests, after_seq=after_seq)) as batches:
        async for batch in batches:
            for event in batch:
                kill(event.envelope.workload_id)
