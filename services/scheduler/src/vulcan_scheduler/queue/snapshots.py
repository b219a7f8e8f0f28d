"""Telling everybody how much each tenant has waiting and running."""

import asyncio

from vulcan_contracts import subjects
from vulcan_contracts.queue import QueueSnapshot, TenantLoad
from vulcan_eventstore import broadcast
from vulcan_eventstore.connection import Bus
from vulcan_scheduler.desk import Desk


async def broadcast_snapshots(bus: Bus, desk: Desk, *, interval_s: float, at_least_every_s: float) -> None:
    """Broadcast the loads each interval in which they changed, and now and then anyway, until cancelled."""
    told: dict[str, TenantLoad] | None = None
    told_at = 0.0
    while True:
        now = desk.now().mono
        tenants = desk.plan.tenants.snapshot()
        due = now - told_at >= at_least_every_s
        if (due or tenants != told) and await broadcast.publish(
            bus, subjects.QUEUE_SNAPSHOT, QueueSnapshot(seq=desk.plan.seq, tenants=tenants)
        ):
            told, told_at = tenants, now
        await asyncio.sleep(interval_s)
