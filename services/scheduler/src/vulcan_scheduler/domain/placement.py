"""Which node a workload goes to.

Spread, not pack: a run on the least loaded node starts sooner, disturbs fewer neighbours, and a lost node takes fewer
runs with it. The price is that large workloads find less room in one place, which `reservation` pays for.
"""

from collections.abc import Iterable

from vulcan_scheduler.domain.need import Need
from vulcan_scheduler.domain.nodes import Node


def place(need: Need, nodes: Iterable[Node], mono: float, *, avoid: str | None = None) -> Node | None:
    """The best node that can hold it now, or None.

    Preferred, in this order: a node that has not just let a dispatch lie, real hardware to emulation, one that has the
    image, the one with the least load afterwards.
    """
    amount = need.amount
    best: Node | None = None
    best_rank: tuple[bool, bool, bool, float, str] | None = None
    for node in nodes:
        after = node.holder.used.plus(amount)
        if not node.capacity.holds(after) or node.draining or node.suspect_until > mono or not node.runs(need):
            continue
        missing_image = need.image is not None and need.image not in node.cached_images
        rank = (node.name == avoid, node.emulated, missing_image, after.dominant_share(node.capacity), node.name)
        if best_rank is None or rank < best_rank:
            best, best_rank = node, rank
    return best
