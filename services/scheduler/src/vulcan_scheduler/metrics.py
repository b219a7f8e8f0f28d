"""What the scheduler measures."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from vulcan_chassis.metrics import LATENCY_BUCKETS_S
from vulcan_scheduler.desk import Desk

OTHER: Final = "other"
_LONG_WAITS_S: Final = (300.0, 1800.0, 7200.0)


class Metrics:
    """The metrics that the tasks write, and a collector for what the plan knows anyway."""

    def __init__(self, registry: CollectorRegistry, desk: Desk, *, top_tenants: int) -> None:
        self.queue_wait = Histogram(
            "vulcan_scheduler_queue_wait_seconds",
            "From submitted, or from the end of a backoff, to the decision where it runs.",
            ["backend"],
            buckets=(*LATENCY_BUCKETS_S, *_LONG_WAITS_S),
            registry=registry,
        )
        self.release_time = Histogram(
            "vulcan_scheduler_release_seconds",
            "From the decision to the dispatch, the append included.",
            buckets=LATENCY_BUCKETS_S,
            registry=registry,
        )
        self.released = Counter(
            "vulcan_scheduler_releases",
            "Releases by how they went: offered, refused (the log says otherwise), failed (not known to be stored).",
            ["outcome"],
            registry=registry,
        )
        self.endings = Counter("vulcan_scheduler_endings", "Workloads ended from here.", ["reason"], registry=registry)
        self.events = Counter("vulcan_scheduler_events", "Events folded.", registry=registry)
        self.unreadable_events = Counter(
            "vulcan_scheduler_unreadable_events", "Events that could not be folded.", registry=registry
        )
        self.lag = Gauge(
            "vulcan_scheduler_follow_lag_seconds", "Age of the last event when it was folded.", registry=registry
        )
        self.checkpoint_seq = Gauge(
            "vulcan_scheduler_checkpoint_seq", "The event that the last checkpoint reaches to.", registry=registry
        )
        registry.register(PlanCollector(desk, top_tenants))


class PlanCollector(Collector):
    """Reads the plan when asked. Tenants beyond the `top` busiest share one label, so that labels stay bounded."""

    def __init__(self, desk: Desk, top: int) -> None:
        self._desk = desk
        self._top = top

    def collect(self) -> list[Metric]:
        """The plan's figures of this moment."""
        plan = self._desk.plan
        active = GaugeMetricFamily("vulcan_scheduler_active", "1 while this scheduler is the one that decides.")
        active.add_metric([], float(self._desk.active))
        nodes = GaugeMetricFamily("vulcan_scheduler_nodes", "Nodes that send heartbeats.", labels=["backend"])
        for isolation, pool in plan.board.pools.items():
            nodes.add_metric([isolation], len(pool.nodes))
        counters = plan.counters
        found: list[Metric] = [active, nodes, *self._tenants()]
        for name, text, value in (
            ("reschedules", "Dispatches that nobody started in time.", counters.expired_dispatches),
            ("lost_nodes", "Nodes declared lost.", counters.lost_nodes),
            ("reservations", "Nodes kept free for a large workload.", counters.reservations),
        ):
            family = CounterMetricFamily(f"vulcan_scheduler_{name}", text)
            family.add_metric([], value)
            found.append(family)
        return found

    def _tenants(self) -> list[Metric]:
        waiting = GaugeMetricFamily("vulcan_scheduler_waiting", "Workloads that wait.", labels=["tenant"])
        running = GaugeMetricFamily("vulcan_scheduler_running", "Workloads given to a node.", labels=["tenant"])
        loads = sorted(self._desk.plan.tenants.loads.items(), key=lambda item: -(item[1].waiting + item[1].running))
        for tenant, load in loads[: self._top]:
            waiting.add_metric([tenant], load.waiting)
            running.add_metric([tenant], load.running)
        if len(loads) > self._top:
            waiting.add_metric([OTHER], sum(load.waiting for _, load in loads[self._top :]))
            running.add_metric([OTHER], sum(load.running for _, load in loads[self._top :]))
        return [waiting, running]
