"""EVENTS into `workloads`."""

from collections.abc import AsyncGenerator, Iterable, Sequence

import structlog

from vulcan_chassis import tracing
from vulcan_contracts import subjects
from vulcan_contracts.errors import CorruptLog
from vulcan_contracts.events import Recorded
from vulcan_eventstore.connection import Bus
from vulcan_eventstore.follower import follow_events
from vulcan_logstore.db import workloads
from vulcan_logstore.db.database import Connection
from vulcan_logstore.domain.project import project
from vulcan_logstore.domain.row import WorkloadRow
from vulcan_logstore.metrics import Metrics
from vulcan_logstore.projection.source import newest_held
from vulcan_logstore.settings import ProjectionSettings

NAME = "workloads"


class WorkloadsProjection:
    """A batch of events becomes one read of the rows that are there, a fold, and one upsert."""

    name = NAME

    def __init__(self, bus: Bus, metrics: Metrics, settings: ProjectionSettings) -> None:
        self._bus = bus
        self._metrics = metrics
        self._settings = settings
        self._log = structlog.get_logger().bind(projection=NAME)

    def follow(self, after_seq: int) -> AsyncGenerator[list[Recorded], None]:
        """Every event behind `after_seq`."""
        return follow_events(
            self._bus,
            after_seq=after_seq,
            max_batch=self._settings.max_events,
            linger_s=self._settings.linger_ms / 1000,
        )

    async def last_seq(self) -> int:
        """The newest event's sequence."""
        return await newest_held(self._bus, subjects.EVENTS_STREAM, subjects.ALL_EVENTS)

    def split(self, items: Sequence[Recorded]) -> Iterable[list[Recorded]]:
        """All in one: the follower bounds a batch."""
        return [list(items)]

    async def prepare(self, items: Sequence[Recorded]) -> None:
        """Nothing is needed."""

    async def write(self, connection: Connection, items: Sequence[Recorded]) -> int:
        """Fold the events into the rows. One that cannot follow is logged, counted and left out."""
        begun = {event.envelope.workload_id for event in items if event.envelope.version > 1}
        rows: dict[str, WorkloadRow] = await workloads.load(connection, begun)
        changed: set[str] = set()
        traced = tracing.recording()
        for event in items:
            workload_id = event.envelope.workload_id
            try:
                rows[workload_id] = (_traced if traced else project)(rows.get(workload_id), event)
            except CorruptLog as error:
                self._log.error("event skipped", seq=event.seq, workload_id=workload_id, reason=str(error))
                self._metrics.skipped.labels(NAME).inc()
                continue
            changed.add(workload_id)
        await workloads.upsert(connection, [rows[workload_id] for workload_id in sorted(changed)])
        return len(changed)


def _traced(row: WorkloadRow | None, event: Recorded) -> WorkloadRow:
    envelope = event.envelope
    with tracing.span(
        f"project {envelope.type}",
        traceparent=envelope.traceparent,
        attributes={"vulcan.workload_id": envelope.workload_id, "vulcan.seq": event.seq},
    ):
        return project(row, event)
