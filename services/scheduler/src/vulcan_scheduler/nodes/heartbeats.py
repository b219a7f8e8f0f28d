"""Hearing the nodes."""

from vulcan_contracts import subjects
from vulcan_contracts.nodes import Heartbeat
from vulcan_eventstore import broadcast
from vulcan_eventstore.connection import Bus, Subscription
from vulcan_scheduler.desk import Desk


class Heartbeats:
    """Tells the plan what the nodes say. `since` is when it began to listen, on the monotonic clock."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.since = desk.now().mono

    async def listen(self, bus: Bus) -> Subscription:
        """Listen until the returned subscription is closed."""
        self.since = self._desk.now().mono
        return await broadcast.subscribe(bus, subjects.HEARTBEATS, Heartbeat, self._hear)

    def _hear(self, heartbeat: Heartbeat) -> None:
        self._desk.plan.hear(heartbeat, self._desk.now())
        self._desk.ring()
