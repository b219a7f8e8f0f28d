"""The executors as their heartbeats tell: who is there, who is lost, and what can run where. Pure; time is given."""

from collections.abc import Iterator
from datetime import datetime
from typing import Final, NamedTuple

from vulcan_contracts.nodes import Capacity, Heartbeat
from vulcan_contracts.spec import Backend, ImageSource, Spec
from vulcan_contracts.views import BackendView, NodeView

BACKENDS: Final[tuple[Backend, ...]] = ("v8", "gvisor", "microvm")
_TAKES_WORK: Final = ("ready", "draining")
"""States in which a node takes work, now or once it is no longer drained."""
HINTS: Final[dict[Backend, str]] = {
    "v8": "Start an executor for V8 and see /v1/nodes; `vulcan doctor` says what is missing.",
    "gvisor": "Start an executor for gVisor on a node that can run it.",
    "microvm": "Start an executor for microVMs on a node that can run them.",
}


class Seen(NamedTuple):
    """The last heartbeat of a node, and when it came by our own clocks."""

    heartbeat: Heartbeat
    at_s: float
    time: datetime


class NodeRegistry:
    """All nodes that were heard of lately."""

    def __init__(self, *, missed_intervals: int, forget_s: float) -> None:
        self._missed_intervals = missed_intervals
        self._forget_s = forget_s
        self._nodes: dict[str, Seen] = {}

    def observe(self, heartbeat: Heartbeat, at_s: float, time: datetime) -> None:
        """Take a heartbeat. One of an earlier life of the node, arriving late, changes nothing."""
        known = self._nodes.get(heartbeat.node)
        if known is None or heartbeat.incarnation >= known.heartbeat.incarnation:
            self._nodes[heartbeat.node] = Seen(heartbeat, at_s, time)

    def nodes(self, now_s: float, drained: frozenset[str] = frozenset()) -> list[NodeView]:
        """Every node, lost and stopped ones for a while, by name."""
        self._nodes = {name: seen for name, seen in self._nodes.items() if now_s - seen.at_s < self._forget_s}
        return [self._view(seen, now_s, drained) for _, seen in sorted(self._nodes.items())]

    def knows(self, node: str) -> bool:
        """True if the node was heard of lately."""
        return node in self._nodes

    def backends(self, now_s: float, drained: frozenset[str] = frozenset()) -> list[BackendView]:
        """Every kind of isolation, whether any node offers it or not."""
        views = self.nodes(now_s, drained)
        return [_backend(isolation, [v for v in views if v.backend.isolation == isolation]) for isolation in BACKENDS]

    def missing(self, spec: Spec, now_s: float) -> str | None:
        """Why no node can run this spec, in words; None if one can (be it busy or drained)."""
        reasons: list[str] = []
        for reason in self._reasons(spec, now_s):
            if reason is None:
                return None
            reasons.append(reason)
        asked = "an OCI image" if isinstance(spec.source, ImageSource) else f"the runtime {spec.runtime}"
        where = "any isolation" if spec.isolation == "auto" else spec.isolation
        if not reasons:
            return f"No node that offers {where} is connected."
        return f"No connected node runs {asked} under {where}: {'; '.join(reasons)}."

    def _reasons(self, spec: Spec, now_s: float) -> Iterator[str | None]:
        for name, seen in sorted(self._nodes.items()):
            report = seen.heartbeat.backend
            if spec.isolation not in ("auto", report.isolation) or self._state(seen, now_s) not in _TAKES_WORK:
                continue
            if not report.available:
                yield f"{name} ({report.isolation}): {report.unavailable_reason or 'it does not work there'}"
            elif isinstance(spec.source, ImageSource):
                yield None if report.images else f"{name} ({report.isolation}) runs no images"
            elif spec.runtime in report.runtimes:
                yield None
            else:
                yield f"{name} ({report.isolation}) runs {', '.join(report.runtimes)}"

    def _state(self, seen: Seen, now_s: float) -> str:
        state = seen.heartbeat.state
        if state != "stopped" and now_s - seen.at_s > self._missed_intervals * seen.heartbeat.interval_s:
            return "lost"
        return state

    def _view(self, seen: Seen, now_s: float, drained: frozenset[str]) -> NodeView:
        beat = seen.heartbeat
        lost = self._state(seen, now_s) == "lost"
        return NodeView(
            node=beat.node,
            incarnation=beat.incarnation,
            state="lost" if lost else beat.state,
            draining=beat.node in drained or beat.state == "draining",
            last_seen=seen.time,
            version=beat.version,
            backend=beat.backend,
            capacity=beat.capacity,
            used=beat.used,
            cached_images=beat.cached_images,
        )


def _backend(isolation: Backend, nodes: list[NodeView]) -> BackendView:
    connected = [n for n in nodes if n.state in _TAKES_WORK]
    working = [n for n in connected if n.backend.available]
    told = (working or connected or nodes)[:1]
    why, hint = "", ""
    if not working:
        why = told[0].backend.unavailable_reason if connected else f"No node that offers {isolation} is connected."
        hint = (told[0].backend.hint if connected else "") or HINTS[isolation]
    return BackendView(
        isolation=isolation,
        available=bool(working),
        nodes=[n.node for n in working],
        report=told[0].backend if told else None,
        capacity=_sum([n.capacity for n in working]),
        used=_sum([n.used for n in working]),
        unavailable_reason=why,
        hint=hint,
    )


def _sum(parts: list[Capacity]) -> Capacity:
    return Capacity(
        cpus=sum(p.cpus for p in parts),
        memory_mb=sum(p.memory_mb for p in parts),
        slots=sum(p.slots for p in parts),
    )
