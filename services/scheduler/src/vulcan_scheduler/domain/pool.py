"""The nodes of one isolation, what waits for them, and the choice of what goes next to which.

Fair share is kept per pool: what a tenant runs on the microvm nodes takes nothing from anyone who waits for v8.

Large workloads: while one fits nowhere, smaller ones go past it, so no node idles for it. Once it has been passed for
`reserve_after_s`, the node where it is nearest to fitting is reserved: nothing else goes there until it fits. At most
one reservation stands at a time, so the rest of the pool keeps working, and the longest blocked lane gets it.
"""

from typing import NamedTuple

from vulcan_contracts.spec import Backend
from vulcan_scheduler.domain.amounts import NOTHING, Amount
from vulcan_scheduler.domain.fair_share import Account, FairShare
from vulcan_scheduler.domain.job import Job
from vulcan_scheduler.domain.lanes import Lane
from vulcan_scheduler.domain.need import Need
from vulcan_scheduler.domain.nodes import Holder, Node
from vulcan_scheduler.domain.placement import place
from vulcan_scheduler.domain.routing import able


class Pick(NamedTuple):
    """What goes next, and where."""

    job: Job
    lane: Lane
    node: Node
    account: Account


class Reservation(NamedTuple):
    """A node that takes nothing but this workload."""

    job: Job
    lane: Lane
    node: str


class Pool:
    """One isolation's nodes, lanes and accounts.

    `epoch` counts the moments at which room may have appeared: a lane found not to fit is not looked at again before.
    """

    def __init__(self, isolation: Backend, *, debt_cap_s: float, reserve_after_s: float) -> None:
        self.isolation = isolation
        self.lanes: dict[Need, Lane] = {}
        self.nodes: dict[str, Node] = {}
        self.fair = FairShare(debt_cap_s)
        self.reservation: Reservation | None = None
        self.epoch = 0
        self.releases = 0
        self._reserve_after_s = reserve_after_s
        self._open: dict[str, Node] = {}

    def set_nodes(self, nodes: dict[str, Node]) -> None:
        """Take over which nodes there are, after any of them came, went or changed."""
        self.nodes = nodes
        total: Amount = NOTHING
        for node in nodes.values():
            total = total.plus(node.capacity)
            self._note(node)
        self._open = {name: node for name, node in self._open.items() if nodes.get(name) is node}
        self.fair.set_total(total)
        self.room()

    def used_changed(self, holder: Holder) -> None:
        """Note whether the node of this life has a slot left, after something was placed on it or taken off."""
        node = self.nodes.get(holder.node)
        if node is not None and node.holder is holder:
            self._note(node)

    def room(self) -> None:
        """Something may fit now that did not before."""
        self.epoch += 1

    def add_lane(self, lane: Lane) -> None:
        """Let a lane compete here."""
        lane.unblock()
        lane.turns.clear()
        self.lanes[lane.need] = lane

    def drop_lane(self, lane: Lane) -> None:
        """Take a lane out, empty or routed elsewhere."""
        self.lanes.pop(lane.need, None)
        if self.reservation is not None and self.reservation.lane is lane:
            self._unreserve()

    def pick(self, mono: float) -> Pick | None:
        """What goes next, and where; None if nothing that waits fits."""
        reserved = self._reserved(mono)
        if reserved is not None:
            return reserved
        closed = self.reservation.node if self.reservation is not None else None
        nodes = [node for name, node in self._open.items() if name != closed]
        if not nodes:
            self._block_all(mono)
            return None
        best: Pick | None = None
        best_turn: tuple[float, float, str, tuple[int, int]] | None = None
        for lane in self.lanes.values():
            if lane.blocked_at == self.epoch:
                continue
            first = self.fair.first(lane)
            if first is None:
                continue
            share, served, account = first
            job = lane.head(account.tenant)
            if job is None:
                continue
            turn = (share, served, account.tenant, job.rank)
            if best_turn is not None and turn >= best_turn:
                continue
            node = place(lane.need, nodes, mono, avoid=job.last_node)
            if node is None:
                lane.block(self.epoch, self.releases, mono)
            else:
                best, best_turn = Pick(job, lane, node, account), turn
        return best

    def picked(self, pick: Pick) -> None:
        """Note that the pick was taken."""
        self.releases += 1
        self.fair.picked(pick.account)
        pick.lane.unblock()
        if self.reservation is not None and self.reservation.job is pick.job:
            self._unreserve()

    def reserve(self, mono: float) -> Reservation | None:
        """Close a node for the lane that others have gone past for longest, if one waits long enough for that."""
        if self.reservation is not None:
            return None
        longest: Lane | None = None
        for lane in self.lanes.values():
            since = lane.blocked_since
            if since is None or since > mono - self._reserve_after_s or self.releases == lane.blocked_releases:
                continue
            if longest is None or longest.blocked_since is None or since < longest.blocked_since:
                longest = lane
        if longest is None:
            return None
        first = self.fair.first(longest)
        job = longest.head(first[2].tenant) if first is not None else None
        suited = [node for node in self.nodes.values() if able(node, longest.need)]
        if job is None or not suited:
            return None
        nearest = min(suited, key=lambda node: (_shortage(longest.amount, node), node.name))
        self.reservation = Reservation(job, longest, nearest.name)
        return self.reservation

    def _reserved(self, mono: float) -> Pick | None:
        """The reserved workload, once it fits; drops a reservation that has lost its point."""
        reservation = self.reservation
        if reservation is None:
            return None
        job, lane, name = reservation
        node = self.nodes.get(name)
        account = self.fair.accounts.get(job.tenant)
        line = lane.lines.get(job.tenant)
        if node is None or account is None or account.capped or line is None or job.id not in line.jobs:
            self._unreserve()
            return None
        if not able(node, lane.need):
            self._unreserve()
            return None
        return None if place(lane.need, [node], mono) is None else Pick(job, lane, node, account)

    def _note(self, node: Node) -> None:
        if node.takes_more:
            self._open[node.name] = node
        else:
            self._open.pop(node.name, None)

    def _unreserve(self) -> None:
        self.reservation = None
        self.room()

    def _block_all(self, mono: float) -> None:
        for lane in self.lanes.values():
            if lane.blocked_at != self.epoch:
                lane.block(self.epoch, self.releases, mono)


def _shortage(amount: Amount, node: Node) -> float:
    """How much of the node's size is missing for this to fit, in its worst dimension."""
    free, size = node.free, node.capacity
    return max(
        (amount.cpu_milli - free.cpu_milli) / (size.cpu_milli or 1),
        (amount.memory_mb - free.memory_mb) / (size.memory_mb or 1),
        (amount.slots - free.slots) / (size.slots or 1),
    )
