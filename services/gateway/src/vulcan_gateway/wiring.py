"""Builds the gateway: the only place that makes adapters, in the order in which they need one another."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from prometheus_client import Gauge

from vulcan_chassis import logs
from vulcan_chassis.errors import StartError
from vulcan_chassis.lifecycle import StopCallback
from vulcan_chassis.service import Service
from vulcan_contracts import subjects
from vulcan_contracts.events import Recorded
from vulcan_contracts.nodes import Heartbeat
from vulcan_contracts.queue import QueueSnapshot
from vulcan_contracts.tenants import ApiKey, Tenant
from vulcan_contracts.views import DrainRequest
from vulcan_eventstore import broadcast
from vulcan_eventstore.backoff import at_start
from vulcan_eventstore.blobs import Blobs
from vulcan_eventstore.buckets import Bucket, Mirror
from vulcan_eventstore.connection import Bus
from vulcan_eventstore.errors import EventStoreError
from vulcan_eventstore.event_reader import EventReader
from vulcan_eventstore.live import live_events, live_logs
from vulcan_eventstore.log_reader import LogReader
from vulcan_eventstore.streams import ensure_streams
from vulcan_eventstore.workload_log import WorkloadLog
from vulcan_gateway.app import make_app
from vulcan_gateway.db.lines import ProjectedLines
from vulcan_gateway.db.pool import Database
from vulcan_gateway.history import LogHistory
from vulcan_gateway.keyring import BootstrapKeyError, Keyring
from vulcan_gateway.live.cluster import Cluster
from vulcan_gateway.live.hub import Hub
from vulcan_gateway.live.tail import Tail
from vulcan_gateway.parts import Parts
from vulcan_gateway.patience import Patience
from vulcan_gateway.permits import Permits
from vulcan_gateway.rebuilds import Rebuilds
from vulcan_gateway.settings import GatewaySettings
from vulcan_gateway.slots import Slots
from vulcan_gateway.submissions import Submissions

T = TypeVar("T")


async def wire(service: Service, settings: GatewaySettings) -> None:
    """Connect, build, listen. The port opens last, and closes first.

    Raises:
        StartError: NATS cannot be reached or will not do, or the file with the first key cannot be used.
        HttpServerError: the address cannot be listened on.
    """
    try:
        parts = await build(service, settings)
    except (EventStoreError, BootstrapKeyError) as error:
        raise StartError(str(error)) from error
    server = await service.serve(make_app(parts, service.version), settings.listen)
    # Streams and waits would outlast the server's patience: they end first, their clients come back and go on.
    service.on_stop(_end_readers(parts.hub), name="readers")
    logs.get().info("listening", address=server.address)


async def build(service: Service, settings: GatewaySettings) -> Parts:
    """Everything but the listener."""
    bus = await Bus.connect(settings.nats, name="vulcan-gateway")
    service.on_stop(bus.close, name="nats")
    service.task(_end_with(bus), name="nats connection")
    service.health.add("nats", lambda: None if bus.connected else "not connected")
    await ensure_streams(bus, settings.streams)
    database = Database(settings.database_url, settings.postgres)
    service.on_stop(database.close, name="postgres")
    keyring = await _keyring(service, bus, settings)
    cluster = await _cluster(service, bus, settings)
    hub = await _hub(service, bus, settings, cluster)
    log, events = WorkloadLog(bus), EventReader(bus)
    history = LogHistory(ProjectedLines(database), LogReader(bus))
    submissions = Submissions(
        log, hub, cluster, append_timeout_s=settings.append_timeout_s, recheck_s=settings.wait_recheck_s
    )
    service.health.add("event_log", submissions.trouble)
    limits = settings.limits
    return Parts(
        settings=settings,
        health=service.health,
        registry=service.registry,
        keyring=keyring,
        cluster=cluster,
        log=log,
        events=events,
        history=history,
        blobs=Blobs(bus),
        database=database,
        hub=hub,
        tail=Tail(hub, log, history, events, settings.tail),
        submissions=submissions,
        patience=Patience(bus, settings.read_timeout_s),
        rebuilds=Rebuilds(bus, timeout_s=settings.cluster.rebuild_timeout_s),
        streams=_slots(service, "streams", limits.streams_per_key, limits.streams),
        waits=_slots(service, "waiting calls", limits.waits_per_key, limits.waits),
        uploads=_slots(service, "uploads", limits.uploads_per_key, limits.uploads),
    )


async def _end_with(bus: Bus) -> None:
    await bus.wait_closed()
    raise ConnectionError("the connection to NATS is closed for good")


async def _keyring(service: Service, bus: Bus, settings: GatewaySettings) -> Keyring:
    bucket = Bucket(bus, subjects.KEYS_BUCKET, ApiKey)
    permits = Permits()
    keyring = Keyring(bucket, await _mirror(service, bucket, "keys", permits.changed), permits)
    if settings.bootstrap_key_file:
        await at_start(bus, partial(keyring.bootstrap, Path(settings.bootstrap_key_file)))
    return keyring


async def _cluster(service: Service, bus: Bus, settings: GatewaySettings) -> Cluster:
    tenants = Bucket(bus, subjects.TENANTS_BUCKET, Tenant)
    drains = Bucket(bus, subjects.NODES_BUCKET, DrainRequest)
    cluster = Cluster(
        bus,
        settings.cluster,
        default_max_waiting=settings.limits.max_waiting,
        tenants=tenants,
        tenants_mirror=await _mirror(service, tenants, "tenants"),
        drains=drains,
        drains_mirror=await _mirror(service, drains, "drains"),
    )
    for subscription in (
        await broadcast.subscribe(bus, subjects.HEARTBEATS, Heartbeat, cluster.hear_heartbeat),
        await broadcast.subscribe(bus, subjects.QUEUE_SNAPSHOT, QueueSnapshot, cluster.hear_snapshot),
    ):
        service.on_stop(subscription.close, name="subscription")
    return cluster


async def _hub(service: Service, bus: Bus, settings: GatewaySettings, cluster: Cluster) -> Hub:
    hub = Hub(buffer_bytes=settings.limits.reader_buffer_bytes)

    def hear(event: Recorded) -> None:
        cluster.hear_event(event)
        hub.hear_event(event)

    resyncs = Gauge(
        "vulcan_gateway_live_resyncs", "Times that live readers were sent back to history.", registry=service.registry
    )
    resyncs.set_function(lambda: hub.resyncs)
    events = await live_events(bus, hear, on_gap=hub.resync)
    service.on_stop(events.close, name="live events")
    lines = await live_logs(bus, lambda stored: hub.hear_lines(stored.seq, stored.batch), on_gap=hub.resync)
    service.on_stop(lines.close, name="live logs")
    return hub


async def _mirror(
    service: Service, bucket: Bucket[T], name: str, on_change: Callable[[str, T | None], None] | None = None
) -> Mirror[T]:
    mirror = await bucket.mirror(on_change)
    service.on_stop(mirror.close, name=f"mirror of {name}")
    return mirror


def _slots(service: Service, what: str, per_key: int, total: int) -> Slots:
    slots = Slots(what, per_key=per_key, total=total)
    name = what.replace(" ", "_")
    gauge = Gauge(f"vulcan_gateway_{name}_open", f"How many {what} are open now.", registry=service.registry)
    gauge.set_function(lambda: slots.taken)
    return slots


def _end_readers(hub: Hub) -> StopCallback:
    async def close() -> None:
        hub.close()

    return close
