"""Prometheus metrics: one registry per service, so that several services can live in one process (tests do that)."""

from typing import Final

from prometheus_client import CollectorRegistry, Gauge, GCCollector, PlatformCollector, ProcessCollector

LATENCY_BUCKETS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
"""From a fast local answer to the longest wait of a synchronous call."""


def new_registry(service: str, version: str) -> CollectorRegistry:
    """A registry that holds what every process tells about itself: CPU, memory, files, garbage, version."""
    registry = CollectorRegistry(auto_describe=True)
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    info = Gauge("vulcan_build_info", "The release that runs here.", ["service", "version"], registry=registry)
    info.labels(service, version).set(1)
    return registry
