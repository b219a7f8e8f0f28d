"""The nodes as their heartbeats describe them, and the verdict on each of their lives."""

from typing import Literal

from vulcan_contracts.nodes import Heartbeat
from vulcan_scheduler.domain.amounts import NOTHING, Amount, of_capacity
from vulcan_scheduler.domain.need import Need

Verdict = Literal["alive", "unknown", "lost"]

_REMEMBERED_LIVES = 32


class Holder:
    """One life of a node: what was given to it and has not ended. `heard`: it sent a heartbeat itself."""

    __slots__ = ("heard", "incarnation", "jobs", "known_since", "node", "used")

    def __init__(self, node: str, incarnation: str, known_since: float) -> None:
        self.node = node
        self.incarnation = incarnation
        self.known_since = known_since
        self.heard = False
        self.jobs: set[str] = set()
        self.used: Amount = NOTHING


class Node:
    """A node that sends heartbeats. `used` is the scheduler's own account of it, corrected by the log."""

    __slots__ = (
        "cached_images", "capacity", "drain_flag", "heartbeat", "holder", "last_seen", "name", "suspect_until",
    )  # fmt: skip

    def __init__(self, heartbeat: Heartbeat, holder: Holder, last_seen: float, *, drain_flag: bool) -> None:
        self.name = heartbeat.node
        self.holder = holder
        self.last_seen = last_seen
        self.drain_flag = drain_flag
        self.suspect_until = 0.0
        self.update(heartbeat, last_seen)

    def update(self, heartbeat: Heartbeat, last_seen: float) -> None:
        """Take over a newer heartbeat of the same life."""
        self.heartbeat = heartbeat
        self.last_seen = last_seen
        self.capacity = of_capacity(heartbeat.capacity)
        self.cached_images = frozenset(heartbeat.cached_images)

    @property
    def incarnation(self) -> str:
        """Which of the node's lives this is."""
        return self.heartbeat.incarnation

    @property
    def draining(self) -> bool:
        """True if it is to take nothing new: an operator said so, or it is on its way out."""
        return self.drain_flag or self.heartbeat.state != "ready"

    @property
    def takes_more(self) -> bool:
        """True if it takes new work and has a slot left."""
        return not self.draining and self.holder.used.slots < self.capacity.slots

    @property
    def emulated(self) -> bool:
        """True if its backend emulates a machine in software, which is slow and no security boundary."""
        return self.heartbeat.backend.details.get("emulated") is True

    @property
    def free(self) -> Amount:
        """What it can still take."""
        return self.capacity.minus(self.holder.used)

    def lost_at(self, missed: int) -> float:
        """When it will have missed so many heartbeats."""
        return self.last_seen + missed * self.heartbeat.interval_s

    def runs(self, need: Need) -> bool:
        """True if its backend works and can run this kind of thing, whatever the size."""
        return self.obstacle(need) is None

    def obstacle(self, need: Need) -> str | None:
        """Why its backend cannot run this kind of thing, in words; None if it can."""
        report = self.heartbeat.backend
        if not report.available:
            return f"does not work on node {self.name}: {report.unavailable_reason or 'no reason given'}"
        if need.image is not None and not report.images:
            return "does not run OCI images"
        if need.image is None and need.runtime is not None and need.runtime not in report.runtimes:
            return f"does not run {need.runtime}"
        if need.egress and "egress" not in report.features:
            return f"cannot give network access on node {self.name}"
        return None


class Registry:
    """Every node that was heard of. Lost and stopped ones are taken out by `expire`."""

    def __init__(self, *, missed_heartbeats: int, lost_after_s: float) -> None:
        self.nodes: dict[str, Node] = {}
        self.drained: frozenset[str] = frozenset()
        self._missed = missed_heartbeats
        self._lost_after_s = lost_after_s
        self._over: dict[str, dict[str, None]] = {}
        self._watching_since = 0.0

    def watch_from(self, mono: float) -> None:
        """Silence before this moment is nobody's fault: this process was not listening, or not deciding."""
        self._watching_since = mono
        for node in self.nodes.values():
            node.last_seen = max(node.last_seen, mono)

    def hear(self, heartbeat: Heartbeat, holder: Holder, mono: float) -> bool:
        """Take a heartbeat; True if it changes where work can go."""
        if heartbeat.incarnation in self._over.get(heartbeat.node, ()):
            return False
        holder.heard = True
        if heartbeat.state == "stopped":
            self._end_life(heartbeat.node, heartbeat.incarnation)
            node = self.nodes.get(heartbeat.node)
            if node is not None and node.incarnation == heartbeat.incarnation:
                del self.nodes[heartbeat.node]
            return True
        known = self.nodes.get(heartbeat.node)
        if known is None or known.incarnation != heartbeat.incarnation:
            if known is not None:
                self._end_life(known.name, known.incarnation)
            drained = heartbeat.node in self.drained
            self.nodes[heartbeat.node] = Node(heartbeat, holder, mono, drain_flag=drained)
            return True
        before = known.heartbeat
        known.update(heartbeat, mono)
        return (
            before.state != heartbeat.state
            or before.capacity != heartbeat.capacity
            or before.backend != heartbeat.backend
        )

    def expire(self, mono: float) -> list[Node]:
        """Take out the nodes that have missed their heartbeats."""
        lost = [node for node in self.nodes.values() if node.lost_at(self._missed) <= mono]
        for node in lost:
            # Not `_end_life`: the silence may have been the network's, and the same life may be heard of again.
            del self.nodes[node.name]
        return lost

    def set_drained(self, names: frozenset[str]) -> bool:
        """Take over the operators' drain flags; True if that changes where work can go."""
        changed = False
        self.drained = names
        for node in self.nodes.values():
            flag = node.name in names
            changed |= flag != node.drain_flag
            node.drain_flag = flag
        return changed

    def verdict(self, holder: Holder, mono: float) -> Verdict:
        """Whether what this life holds is in good hands."""
        node = self.nodes.get(holder.node)
        if node is not None and node.incarnation == holder.incarnation:
            return "alive"
        if holder.incarnation in self._over.get(holder.node, ()):
            return "lost"
        if node is not None and holder.incarnation < node.incarnation:
            # Incarnations sort by their time of birth: the node has started again since.
            return "lost"
        silent_since = max(holder.known_since, self._watching_since)
        return "lost" if holder.heard or mono >= silent_since + self._lost_after_s else "unknown"

    def _end_life(self, node: str, incarnation: str) -> None:
        over = self._over.setdefault(node, {})
        over[incarnation] = None
        if len(over) > _REMEMBERED_LIVES:
            del over[next(iter(over))]
