"""The one place that makes the scheduler's parts and puts them together."""

from functools import partial

from vulcan_chassis.service import Service
from vulcan_contracts import subjects
from vulcan_contracts.ids import ulid
from vulcan_eventstore.blobs import Blobs
from vulcan_eventstore.connection import Bus
from vulcan_eventstore.dispatch import Dispatcher
from vulcan_eventstore.lease import Lease
from vulcan_eventstore.log_seal import seal
from vulcan_eventstore.streams import ensure_streams
from vulcan_eventstore.workload_log import WorkloadLog
from vulcan_scheduler.app import Scheduler
from vulcan_scheduler.desk import Desk
from vulcan_scheduler.log.checkpoints import Checkpoints
from vulcan_scheduler.log.chores import Chores
from vulcan_scheduler.log.follow import Follower
from vulcan_scheduler.log.releases import Releaser
from vulcan_scheduler.metrics import Metrics
from vulcan_scheduler.nodes.drains import mirror_drains
from vulcan_scheduler.nodes.heartbeats import Heartbeats
from vulcan_scheduler.queue.quotas import mirror_quotas
from vulcan_scheduler.settings import SchedulerSettings

LEASE = "scheduler"


async def wire(service: Service, settings: SchedulerSettings) -> None:
    """Connect, and start to follow, to listen and to ask for the lease."""
    tuning = settings.scheduler
    bus = await Bus.connect(settings.nats, name=service.name)
    service.on_stop(bus.close, name="bus")
    service.health.add("nats", lambda: None if bus.connected else "not connected")
    await ensure_streams(bus, settings.streams)

    desk = Desk(tuning.limits)
    metrics = Metrics(service.registry, desk, top_tenants=tuning.metrics_tenants)
    quotas = await mirror_quotas(bus, desk)
    service.on_stop(quotas.close, name="quotas")
    drains = await mirror_drains(bus, desk)
    service.on_stop(drains.close, name="drain flags")
    heartbeats = Heartbeats(desk)
    heard = await heartbeats.listen(bus)
    service.on_stop(heard.close, name="heartbeats")

    checkpoints = Checkpoints(
        Blobs(bus, subjects.CHECKPOINTS_BUCKET),
        desk,
        metrics,
        timeout_s=tuning.checkpoint_timeout_s,
        min_events=tuning.checkpoint_min_events,
    )
    service.on_stop(checkpoints.save_last, name="last checkpoint")
    follower = Follower(bus, desk, checkpoints, metrics)
    service.health.add("log", lambda: None if follower.started else "still reading the checkpoint")
    service.task(follower.run(), name="follower")

    workloads = WorkloadLog(bus)
    dispatcher = Dispatcher(bus, settings.streams)
    scheduler = Scheduler(
        bus=bus,
        lease=Lease(bus, LEASE, holder=f"{tuning.owner}-{ulid()}", ttl_s=tuning.lease_ttl_s),
        desk=desk,
        follower=follower,
        heartbeats=heartbeats,
        releaser=Releaser(workloads, dispatcher, desk, metrics, append_timeout_s=tuning.append_timeout_s),
        chores=Chores(
            workloads,
            dispatcher,
            partial(seal, bus),
            desk,
            metrics,
            append_timeout_s=tuning.append_timeout_s,
            at_once=tuning.max_losses_in_flight,
        ),
        checkpoints=checkpoints,
        tuning=tuning,
    )
    service.task(scheduler.run(), name="scheduler")
