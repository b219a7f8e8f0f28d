"""What an executor counts and measures. Labels are closed sets: the backend, the reason, the phase."""

from collections.abc import Callable
from functools import cache
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from vulcan_contracts.nodes import Capacity
from vulcan_contracts.outcome import RunClock
from vulcan_contracts.reasons import Reason
from vulcan_contracts.spec import Backend

_FAST_BUCKETS_S: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_RUN_BUCKETS_S: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3600, 14_400, 86_400)
_ROOM: Final = ("slots", "memory_mb", "cpus")


class RunMetrics:
    """The metrics of one executor's runs."""

    def __init__(self, registry: CollectorRegistry, isolation: Backend) -> None:
        self._isolation = isolation
        self._ended = Counter(
            "vulcan_runs_ended",
            "Attempts that ended here, by reason (none: completed).",
            ["backend", "reason"],
            registry=registry,
        )
        # Looking up a metric by its labels costs more than counting; the labels are closed sets.
        self._count_end = cache(
            lambda reason: self._ended.labels(isolation, "none" if reason is None else reason.value).inc
        )
        self._dropped = Counter(
            "vulcan_runs_dropped",
            "Attempts given up without an event: no longer this node's.",
            ["backend", "when"],
            registry=registry,
        )
        self._prepare = Histogram(
            "vulcan_run_prepare_seconds",
            "From the claim to a sandbox that is ready.",
            ["backend"],
            buckets=_FAST_BUCKETS_S,
            registry=registry,
        ).labels(isolation)
        self._first_output = Histogram(
            "vulcan_run_first_output_seconds",
            "From ready to the first byte printed.",
            ["backend"],
            buckets=_FAST_BUCKETS_S,
            registry=registry,
        ).labels(isolation)
        self._run = Histogram(
            "vulcan_run_seconds",
            "From ready to the exit.",
            ["backend"],
            buckets=_RUN_BUCKETS_S,
            registry=registry,
        ).labels(isolation)
        self._close_failures = Counter(
            "vulcan_sandbox_close_failures",
            "Sandboxes that could not be destroyed as they should.",
            ["backend"],
            registry=registry,
        )
        self._room_used = Gauge(
            "vulcan_room_used", "What runs hold of this node.", ["backend", "what"], registry=registry
        )
        self._room_capacity = Gauge(
            "vulcan_room_capacity", "What this node can hold.", ["backend", "what"], registry=registry
        )

    def ended(self, reason: Reason | None, clock: RunClock) -> None:
        """An attempt ended, and the log has it."""
        self._count_end(reason)()
        if clock.run_ms:
            self._prepare.observe(clock.prepare_ms / 1000)
            self._run.observe(clock.run_ms / 1000)
        if clock.first_output_ms is not None:
            self._first_output.observe(clock.first_output_ms / 1000)

    def dropped(self, when: str) -> None:
        """An attempt was given up: `hinted` without an assignment, `claimed` before it started, `running` after."""
        self._dropped.labels(self._isolation, when).inc()

    def close_failed(self) -> None:
        """A sandbox could not be destroyed as it should."""
        self._close_failures.labels(self._isolation).inc()

    def room(self, used: Callable[[], Capacity], capacity: Callable[[], Capacity]) -> None:
        """How full the node is, for whoever asks."""
        for gauge, ask in ((self._room_used, used), (self._room_capacity, capacity)):
            for what in _ROOM:
                gauge.labels(self._isolation, what).set_function(_part(ask, what))


def _part(ask: Callable[[], Capacity], what: str) -> Callable[[], float]:
    return lambda: float(getattr(ask(), what))
