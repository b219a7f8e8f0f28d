"""The only place that builds the logstore's parts and puts them together."""

from functools import partial
from typing import Any

from vulcan_chassis.errors import StartError
from vulcan_chassis.service import Service
from vulcan_contracts import subjects
from vulcan_contracts.projections import RebuildRequest, RebuildStatusRequest
from vulcan_contracts.tenants import Tenant
from vulcan_eventstore import broadcast
from vulcan_eventstore.buckets import Bucket
from vulcan_eventstore.connection import Bus
from vulcan_eventstore.errors import EventStoreError
from vulcan_eventstore.streams import ensure_streams
from vulcan_logstore.app import Logstore
from vulcan_logstore.db.database import Database
from vulcan_logstore.db.migrate import migrate
from vulcan_logstore.db.rebuilds import SHADOW
from vulcan_logstore.domain.retention import longest_days, retention
from vulcan_logstore.metrics import Metrics
from vulcan_logstore.projection.lag import LagMeter
from vulcan_logstore.projection.log_lines import LogLinesProjection
from vulcan_logstore.projection.projector import Projector
from vulcan_logstore.projection.rebuild import Rebuilder
from vulcan_logstore.projection.retention import Retention
from vulcan_logstore.projection.workloads import WorkloadsProjection
from vulcan_logstore.settings import LogstoreSettings


async def wire(service: Service, settings: LogstoreSettings) -> None:
    """Build everything and start it."""
    try:
        bus = await Bus.connect(settings.nats, name=f"vulcan-{service.name}")
        service.on_stop(bus.close, name="bus")
        service.health.add("nats", lambda: None if bus.connected else "not connected")
        await ensure_streams(bus, settings.streams)
        tenants = await Bucket(bus, subjects.TENANTS_BUCKET, Tenant).mirror()
        service.on_stop(tenants.close, name="tenants")
    except EventStoreError as error:
        raise StartError(str(error)) from error
    open_database = partial(Database.open, settings.database_url, settings.database)
    database = await open_database()
    service.on_stop(database.close, name="database")
    retention_days = retention(
        tenants.get,
        default_days=settings.log_retention_days,
        max_days=longest_days(settings.streams.log_max_age_days),
    )
    metrics = Metrics(service.registry)

    def projectors(target: Database, measured: Metrics = metrics) -> list[Projector[Any]]:
        limits = settings.projection
        lines = LogLinesProjection(bus, target, limits, retention_days=retention_days)
        workloads = WorkloadsProjection(bus, measured, limits)
        return [Projector(workloads, target, limits, measured), Projector(lines, target, limits, measured)]

    live = projectors(database)
    logstore = Logstore(
        migrate=partial(migrate, database),
        projectors=live,
        retention=Retention(
            database,
            metrics,
            default_days=settings.log_retention_days,
            ahead=settings.partitions_ahead,
            interval_s=settings.retention_interval_s,
        ),
        rebuilder=Rebuilder(
            database,
            open_shadow=partial(open_database, schema=SHADOW),
            projectors=lambda shadow: projectors(shadow, Metrics.unseen()),
            settings=settings.rebuild,
            metrics=metrics,
        ),
        lag=LagMeter(live, metrics, interval_s=settings.projection.lag_interval_s),
        retry_first_s=settings.projection.retry_first_s,
        retry_longest_s=settings.projection.retry_longest_s,
    )
    service.health.add("database", lambda: logstore.trouble)
    for projector in live:
        service.health.add(projector.name, partial(getattr, projector, "trouble"))
    service.task(logstore.run(), name="logstore")
    await _serve(service, bus, logstore)


async def _serve(service: Service, bus: Bus, logstore: Logstore) -> None:
    try:
        rebuild = await broadcast.serve(bus, subjects.REBUILD_REQUEST, RebuildRequest, logstore.answer_rebuild)
        service.on_stop(rebuild.close, name="rebuild requests")
        status = await broadcast.serve(bus, subjects.REBUILD_STATUS, RebuildStatusRequest, logstore.answer_status)
        service.on_stop(status.close, name="rebuild status")
    except EventStoreError as error:
        raise StartError(str(error)) from error
