"""An executor service in one call: the run loop around a backend, with its heartbeats, kill watch and ordered stop."""

from functools import partial
from typing import Final

from vulcan_chassis import logs
from vulcan_chassis.service import Service
from vulcan_contracts.ids import new_incarnation
from vulcan_contracts.workload import Workload
from vulcan_eventstore.backoff import at_start
from vulcan_eventstore.blobs import Blobs
from vulcan_eventstore.connection import Bus
from vulcan_eventstore.dispatch import Claims, receive_hints
from vulcan_eventstore.follower import last_event_seq
from vulcan_eventstore.log_reader import LogReader
from vulcan_eventstore.log_writer import LogWriter, LogWriterSettings
from vulcan_eventstore.workload_log import WorkloadLog
from vulcan_sandbox.attempt import NodeIdentity
from vulcan_sandbox.heartbeat import keep_beating, say_goodbye
from vulcan_sandbox.host import Host
from vulcan_sandbox.kill_watch import watch_kills
from vulcan_sandbox.metrics import RunMetrics
from vulcan_sandbox.protocol import Backend
from vulcan_sandbox.run_loop import Executor
from vulcan_sandbox.settings import ExecutorSettings, node_id

_MARGIN_S: Final = 1.0


class RunLogs:
    """The logs of runs, on JetStream."""

    def __init__(self, bus: Bus, settings: LogWriterSettings) -> None:
        self._bus = bus
        self._settings = settings
        self._reader = LogReader(bus)

    async def open(self, workload: Workload) -> LogWriter:
        """A writer for the workload's present attempt."""
        return await LogWriter.open(
            self._bus,
            tenant=workload.tenant,
            workload_id=workload.id,
            attempt=workload.attempt,
            settings=self._settings,
        )

    async def last_line(self, workload: Workload) -> int:
        """The number of the last line that is stored."""
        return await self._reader.last_line(workload.tenant, workload.id)


async def start_executor(
    service: Service,
    bus: Bus,
    backend: Backend,
    *,
    node: str = "",
    settings: ExecutorSettings,
    log_settings: LogWriterSettings,
) -> Executor:
    """Run a backend as one life of a node, until the service stops; the streams must be there.

    What it adds to the service stops in this order: no new claims, runs end or are ended, heartbeats, the goodbye,
    the backend. Give the service a `stop_timeout_s` above `drain_s + stop_kill_s`.

    Args:
        service: owns the tasks.
        bus: stays open until the service has stopped.
        backend: is closed with the service.
        node: the node's id; empty: made of the host's name and the isolation.
        settings: the run loop's.
        log_settings: how lines become batches.
    """
    me = NodeIdentity(node=node_id(node, backend.isolation), incarnation=new_incarnation())
    host = Host(
        backend=backend,
        blobs=Blobs(bus),
        log_door=RunLogs(bus, log_settings),
        settings=settings,
        metrics=RunMetrics(service.registry, backend.isolation),
    )
    service.on_stop(backend.close, name="backend", deadline_s=settings.close_timeout_s)
    claims = await Claims.open(bus, me.node)
    executor = Executor(host, me=me, claims=claims, log=WorkloadLog(bus), version=service.version)
    await executor.open()
    # Taken before the first claim: a kill of anything that starts here comes behind it.
    kills_after = await at_start(bus, partial(last_event_seq, bus))

    service.on_stop(lambda: say_goodbye(bus, executor.heartbeat("stopped")), name="goodbye")
    hints = await receive_hints(bus, me.node, executor.foresee)
    service.on_stop(claims.close, name="claims")
    service.on_stop(hints.close, name="hints")
    service.task(keep_beating(bus, executor.heartbeat), name="heartbeats")
    service.task(watch_kills(bus, kills_after, executor.kill), name="kill watch")
    service.task(executor.run(), name="runs", deadline_s=settings.close_timeout_s)
    service.on_stop(executor.stop, name="drain", deadline_s=settings.drain_s + settings.stop_kill_s + _MARGIN_S)
    bus.on_reconnect(executor.look_now)
    service.health.add("event log", lambda: None if bus.connected else "the connection to NATS is lost")
    logs.get().info("executor ready", node=me.node, incarnation=me.incarnation, isolation=backend.isolation)
    return executor
