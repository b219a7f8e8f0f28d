"""Active or standby: one scheduler decides, the others follow and wait for the lease.

Nothing is correct because of the lease: two that both think they are the active one are kept apart by the fence on each
workload's log. The lease keeps them from working against each other all day.
"""

import asyncio
from typing import Final

from vulcan_chassis import logs
from vulcan_eventstore.backoff import patiently
from vulcan_eventstore.connection import Bus
from vulcan_eventstore.errors import BusClosedError, EventStoreUnavailableError
from vulcan_eventstore.lease import Held, Lease
from vulcan_scheduler.desk import Desk
from vulcan_scheduler.domain.orders import Release
from vulcan_scheduler.log.checkpoints import Checkpoints
from vulcan_scheduler.log.chores import Chores
from vulcan_scheduler.log.follow import Follower
from vulcan_scheduler.log.releases import Releaser
from vulcan_scheduler.nodes.heartbeats import Heartbeats
from vulcan_scheduler.queue.explain import serve_explanations
from vulcan_scheduler.queue.snapshots import broadcast_snapshots
from vulcan_scheduler.settings import Tuning

_PAUSE_S: Final = 0.5
_LONGEST_WAIT_S: Final = 0.25


class LeaseLostError(Exception):
    """Another scheduler may be the active one now."""


class Scheduler:
    """What is done while the lease is held."""

    def __init__(
        self,
        bus: Bus,
        lease: Lease,
        desk: Desk,
        follower: Follower,
        heartbeats: Heartbeats,
        releaser: Releaser,
        chores: Chores,
        checkpoints: Checkpoints,
        tuning: Tuning,
    ) -> None:
        self._bus = bus
        self._lease = lease
        self._desk = desk
        self._follower = follower
        self._heartbeats = heartbeats
        self._releaser = releaser
        self._chores = chores
        self._checkpoints = checkpoints
        self._tuning = tuning
        self._in_flight = 0
        self._paused_until = 0.0
        self._log = logs.get()

    async def run(self) -> None:
        """Be a standby until the lease is ours, decide until it is lost, and again, until cancelled."""
        while True:
            async with self._lease.hold() as held:
                try:
                    async with asyncio.TaskGroup() as group:
                        group.create_task(_until_lost(held), name="lease lost")
                        await self._decide(group, held)
                except* LeaseLostError:
                    self._desk.led = False
                    self._log.warning("standby: the lease is lost")
                finally:
                    self._desk.active = False

    async def _decide(self, group: asyncio.TaskGroup, held: Held) -> None:
        await self._get_ready()
        tuning, desk = self._tuning, self._desk
        explanations = await patiently(self._bus, "subscribe", lambda: serve_explanations(self._bus, desk))
        remove_hook = self._bus.on_reconnect(self._listen_anew)
        try:
            group.create_task(
                broadcast_snapshots(
                    self._bus,
                    desk,
                    interval_s=tuning.snapshot_interval_s,
                    at_least_every_s=tuning.snapshot_at_least_every_s,
                ),
                name="snapshots",
            )
            group.create_task(self._checkpoints.keep(tuning.checkpoint_interval_s), name="checkpoints")
            await self._decide_on(group, held)
        finally:
            remove_hook()
            await explanations.close()

    async def _get_ready(self) -> None:
        """Know the log to its end, and have heard every node that is there."""
        while True:
            try:
                await self._follower.catch_up()
                break
            except BusClosedError:
                raise
            except EventStoreUnavailableError as error:
                self._log.info("not active yet", reason=str(error))
                await asyncio.sleep(_PAUSE_S)
        heard_all = self._heartbeats.since + 1.5 * self._tuning.heartbeat_interval_s
        await asyncio.sleep(max(0.0, heard_all - self._desk.now().mono))
        self._in_flight = 0
        self._desk.plan.activate(self._desk.now())
        self._desk.active = self._desk.led = True
        plan = self._desk.plan
        self._log.info("active", seq=plan.seq, workloads=len(plan.jobs), nodes=len(plan.registry.nodes))

    async def _decide_on(self, group: asyncio.TaskGroup, held: Held) -> None:
        desk, plan = self._desk, self._desk.plan
        looked = desk.now().mono
        while True:
            now = desk.now()
            if now.mono - looked > self._tuning.heartbeat_interval_s + _LONGEST_WAIT_S:
                # This process stood still, so it has not heard what the nodes said meanwhile.
                self._log.warning("stood still", for_s=round(now.mono - looked, 3))
                plan.resume(now)
            looked = now.mono
            wait_s = _LONGEST_WAIT_S
            if self._bus.connected and held.valid:  # it may have run out while this process stood still
                for chore in plan.chores(now):
                    group.create_task(self._chores.carry_out(chore), name="chore")
                self._release_what_fits(group)
                wait_s = min(wait_s, plan.next_wake(now))
            await desk.wait(wait_s)

    def _release_what_fits(self, group: asyncio.TaskGroup) -> None:
        desk = self._desk
        now = desk.now()
        while self._in_flight < self._tuning.max_releases_in_flight and now.mono >= self._paused_until:
            order = desk.plan.next_release(now)
            if order is None:
                return
            self._in_flight += 1
            group.create_task(self._release(order), name="release")

    async def _release(self, order: Release) -> None:
        try:
            if not await self._releaser.release(order):
                self._paused_until = self._desk.now().mono + _PAUSE_S
        finally:
            self._in_flight -= 1
            self._desk.ring()

    def _listen_anew(self) -> None:
        """NATS was away, and with it every heartbeat: that is nobody's silence. And it may have lost its memory."""
        self._desk.plan.resume(self._desk.now())
        self._desk.ring()


async def _until_lost(held: Held) -> None:
    await held.lost.wait()
    raise LeaseLostError
