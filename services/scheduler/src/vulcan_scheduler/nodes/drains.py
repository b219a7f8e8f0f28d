"""The operators' drain flags."""

from vulcan_contracts import subjects
from vulcan_contracts.views import DrainRequest
from vulcan_eventstore.buckets import Bucket, Mirror
from vulcan_eventstore.connection import Bus
from vulcan_scheduler.desk import Desk


async def mirror_drains(bus: Bus, desk: Desk) -> Mirror[DrainRequest]:
    """Keep the plan told which nodes are drained, until the returned mirror is closed."""
    drained: set[str] = set()

    def changed(node: str, flag: DrainRequest | None) -> None:
        if flag is not None and flag.drain:
            drained.add(node)
        else:
            drained.discard(node)
        desk.plan.set_drained(drained)
        desk.ring()

    return await Bucket(bus, subjects.NODES_BUCKET, DrainRequest).mirror(changed)
