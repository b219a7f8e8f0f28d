"""Which isolation a workload gets, and why, in words that its owner reads."""

from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from vulcan_contracts.spec import Backend
from vulcan_scheduler.domain.need import Need
from vulcan_scheduler.domain.nodes import Node

PREFERENCE: Final[tuple[Backend, ...]] = ("v8", "gvisor", "microvm")
"""What `auto` tries, the quickest to start first. An emulated microvm is slow and no boundary: it is last anyway."""

_WHY: Final[dict[Backend, str]] = {
    "v8": "{what} starts fastest in v8",
    "gvisor": "{what} starts fastest in gvisor of what can run it",
    "microvm": "{what} can run in microvm only",
}


class Route(Struct, frozen=True, kw_only=True):
    """The isolation, and why it was chosen."""

    isolation: Backend
    reason: str


class NoRoute(Struct, frozen=True, kw_only=True):
    """Nothing that is here now can run it, however long it waits."""

    reason: str


def route(need: Need, nodes: Iterable[Node]) -> Route | NoRoute:
    """Choose the isolation among those that a node here really offers for this need."""
    offers: dict[Backend, list[Node]] = {}
    for node in nodes:
        offers.setdefault(node.heartbeat.backend.isolation, []).append(node)
    if need.isolation != "auto":
        wrong = _obstacle(need, need.isolation, offers.get(need.isolation, []))
        return Route(isolation=need.isolation, reason="requested") if wrong is None else NoRoute(reason=wrong)
    obstacles = []
    for isolation in PREFERENCE:
        here = offers.get(isolation, [])
        wrong = _obstacle(need, isolation, here)
        if wrong is None:
            return Route(isolation=isolation, reason=_why(need, isolation, offers))
        obstacles.append(wrong)
    return NoRoute(reason="; ".join(obstacles))


def able(node: Node, need: Need) -> bool:
    """True if the node takes new work and could run this, were it empty."""
    return not node.draining and node.runs(need) and node.capacity.holds(need.amount)


def _why(need: Need, isolation: Backend, offers: dict[Backend, list[Node]]) -> str:
    able_nodes = sum(able(node, need) for node in offers[isolation])
    words = _WHY[isolation].format(what=need.what)
    words += f", which is available on {able_nodes} node{'' if able_nodes == 1 else 's'}"
    if isolation == "gvisor" and any(node.emulated for node in offers.get("microvm", [])):
        words += "; the microvm here is emulated"
    return words


def _obstacle(need: Need, isolation: Backend, nodes: list[Node]) -> str | None:
    """Why no node of this isolation can take it, the nearest miss last; None if one can."""
    if any(able(node, need) for node in nodes):
        return None
    if not nodes:
        return f"no node offers {isolation}"
    suited = [node for node in nodes if node.runs(need)]
    if not suited:
        return f"{isolation} {nodes[0].obstacle(need)}"
    if all(node.draining for node in suited):
        return f"every node that offers {isolation} is draining"
    return f"no {isolation} node is as large as {need.size}"
