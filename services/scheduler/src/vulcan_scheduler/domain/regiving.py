"""Where an assignment goes that its node has let lie."""

from typing import NamedTuple

from vulcan_scheduler.domain.board import Board
from vulcan_scheduler.domain.job import Job
from vulcan_scheduler.domain.nodes import Node
from vulcan_scheduler.domain.now import Now
from vulcan_scheduler.domain.placement import place
from vulcan_scheduler.domain.routing import Route, able, route


class Place(NamedTuple):
    """A node, and why the workload is in that isolation."""

    node: Node
    reason: str


def place_again(job: Job, board: Board, now: Now) -> Place | None:
    """Another node of the same isolation that has room, or else the same life of the same node once more.

    None: there is neither, or the workload has waited for too long; then it belongs back in the queue.
    """
    nodes = board.registry.nodes
    chosen = route(job.need, nodes.values())
    expired = job.expires_at <= now.wall
    if job.isolation is None or not isinstance(chosen, Route) or chosen.isolation != job.isolation or expired:
        return None
    pool = board.pools[job.isolation]
    closed = pool.reservation.node if pool.reservation is not None else None
    node = place(job.need, (node for name, node in pool.nodes.items() if name != closed), now.mono)
    if node is None:
        silent = nodes.get(job.node or "")
        if silent is None or silent.incarnation != job.incarnation or not able(silent, job.need):
            return None
        node = silent
    return Place(node, chosen.reason)
