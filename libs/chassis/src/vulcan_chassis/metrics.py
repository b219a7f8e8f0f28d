"""Prometheus metrics: a registry per service, beside the process-wide one that libraries use.

A service registers its own metrics here, so that several services can live in one process (tests do that); `/metrics`
shows both.
"""

from typing import Final

from prometheus_client import REGISTRY, CollectorRegistry, Gauge, generate_latest

LATENCY_BUCKETS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
"""From a fast local answer to the longest wait of a synchronous call."""


def new_registry(service: str, version: str) -> CollectorRegistry:
    """A registry for what one service measures. What the process tells about itself is in the process-wide one."""
    registry = CollectorRegistry(auto_describe=True)
    info = Gauge("vulcan_build_info", "The release that runs here.", ["service", "version"], registry=registry)
    info.labels(service, version).set(1)
    return registry


def exposition(registry: CollectorRegistry) -> bytes:
    """The metrics of the service and of the process, in Prometheus' text format."""
    return generate_latest(REGISTRY) + generate_latest(registry)
