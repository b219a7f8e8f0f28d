"""Signs of life, so that the scheduler knows what is here and notices when it is not."""

import asyncio
from collections.abc import Callable

from vulcan_contracts import subjects
from vulcan_contracts.nodes import Heartbeat
from vulcan_eventstore import broadcast
from vulcan_eventstore.connection import Bus


async def keep_beating(bus: Bus, beat: Callable[[], Heartbeat]) -> None:
    """Send a heartbeat at once and then each `interval_s`, until cancelled. One that nobody can hear is not kept."""
    while True:
        heartbeat = beat()
        await broadcast.publish(bus, subjects.HEARTBEATS, heartbeat)
        await asyncio.sleep(heartbeat.interval_s)


async def say_goodbye(bus: Bus, last: Heartbeat) -> None:
    """Say that this life of the node is over: what it still had is lost, and nobody need wait to find out."""
    await broadcast.publish(bus, subjects.HEARTBEATS, last)
