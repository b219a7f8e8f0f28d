"""Hosts that wait: some for anyone's first run, some for the next run of the tenant that they belong to."""

import asyncio
import itertools
import time
import weakref
from collections import Counter, deque
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Final

import structlog

from vulcan_executor_v8.cgroups.group import Limits
from vulcan_executor_v8.cgroups.tree import CgroupTree
from vulcan_executor_v8.host.channel import ChannelBrokenError
from vulcan_executor_v8.host.cleanliness import Baseline, measure, proved_clean
from vulcan_executor_v8.host.process import Host, HostStartError, start
from vulcan_executor_v8.jail.launch import Launcher, Profile
from vulcan_executor_v8.settings import V8Settings

_DEMAND_WINDOW_S: Final = 1.0
_SWEEP_S: Final = 1.0
_RETRY_S: Final = 1.0
_MIB: Final = 1_048_576

log = structlog.get_logger(__name__)


class Pool:
    """Gives out hosts and takes them back. A host belongs to one tenant from its first run to its end."""

    def __init__(
        self, settings: V8Settings, launcher: Launcher, tree: CgroupTree, run_dir: Path, starters: int
    ) -> None:
        self._settings = settings
        self._launcher = launcher
        self._tree = tree
        self._run_dir = run_dir
        self._default = Profile(heap_mb=min(settings.heap_classes_mb))
        self._starts = asyncio.Semaphore(starters)
        self._starters = starters
        self._names = itertools.count(1)
        self._warm: deque[Host] = deque()
        self._starting = 0
        self._kept: list[Host] = []
        self._taken: deque[float] = deque(maxlen=max(1, settings.max_warm_hosts))
        self._low = asyncio.Event()
        self._baselines: weakref.WeakKeyDictionary[Host, Baseline] = weakref.WeakKeyDictionary()
        self._making: set[str] = set()
        self._recycling: set[Host] = set()
        self._recycled = asyncio.Event()
        self._waiting: Counter[str] = Counter()
        self._leaving: set[Host] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False

    def resting_limits(self, profile: Profile) -> Limits:
        """What a host may use while no run is in it."""
        return Limits(
            memory_bytes=(profile.heap_mb + self._settings.overhead_mb) * _MIB,
            cpus=64.0,
            pids=self._settings.overhead_pids + 64,
        )

    async def take(self, tenant: str, profile: Profile, *, stdin: bool) -> Host:
        """A host of this profile that is the tenant's, or nobody's yet; started if none waits.

        Raises:
            HostStartError: none could be started.
        """
        host = self._kept_host(tenant, profile, stdin=stdin)
        if host is None and not stdin:
            host = await self._returned(tenant, profile)
        if host is None:
            host = self._warm_host(profile)
        if host is None:
            host = await self._start(profile)
        host.tenant = tenant
        host.runs += 1
        return host

    async def _returned(self, tenant: str, profile: Profile) -> Host | None:
        """One of the tenant's own hosts, if it pays to wait for it.

        A warm host is there at once, but costs the start of another: three times what it costs to recycle one. While as
        many of the tenant's hosts are coming back as can be worked on at once, that start would only delay them.
        """
        patience = asyncio.get_running_loop().time() + self._settings.return_timeout_s
        while True:
            coming = sum(host.tenant == tenant and host.profile == profile for host in self._recycling)
            spare = self._starters if self._warm and profile == self._default else 0
            if coming - self._waiting[tenant] <= spare or not await self._one_came_back(tenant, patience):
                return None
            if (host := self._kept_host(tenant, profile, stdin=False)) is not None:
                return host

    async def _one_came_back(self, tenant: str, patience: float) -> bool:
        """Wait for the end of the next recycling, good or bad: cheaper than another host, and soon over.

        False if that was not before `patience`, a time of the loop: a host that cannot prove itself clean takes long.
        """
        self._waiting[tenant] += 1
        try:
            async with asyncio.timeout_at(patience):
                await self._recycled.wait()
        except TimeoutError:
            return False
        finally:
            self._waiting[tenant] -= 1
            if not self._waiting[tenant]:
                del self._waiting[tenant]
        return True

    def _kept_host(self, tenant: str, profile: Profile, *, stdin: bool) -> Host | None:
        for host in reversed(self._kept):
            usable = host.stdin.open or not stdin
            if host.tenant == tenant and host.profile == profile and host.alive and usable:
                self._kept.remove(host)
                return host
        return None

    def _warm_host(self, profile: Profile) -> Host | None:
        if profile != self._default:
            return None
        self._taken.append(time.monotonic())
        self._low.set()
        while self._warm:
            host = self._warm.popleft()
            if host.alive:
                return host
            self._destroy_soon(host)
        return None

    async def _start(self, profile: Profile) -> Host:
        async with self._starts:
            name = f"h{next(self._names)}"
            try:
                group = self._tree.create(name)
            except OSError as error:
                raise HostStartError(f"no control group: {error}") from error
            limits = self.resting_limits(profile)
            self._making.add(name)
            try:
                host = await start(self._run_dir / name, profile, self._launcher, group, limits, self._settings)
            finally:
                self._making.discard(name)
            self._baselines[host] = measure(host)
            return host

    def restore(self, host: Host) -> None:
        """Take back a host in which nothing ran."""
        self._kept.append(host)
        host.idle_since = time.monotonic()

    def give_back(self, host: Host) -> None:
        """Take back a host whose run ended by itself: it is kept if it proves clean, and killed if not."""
        settings = self._settings
        if self._closing or not settings.reuse or host.runs >= settings.max_runs_per_host or host.profile.egress:
            self._destroy_soon(host)
        else:
            self._recycling.add(host)
            self._spawn(self._recycle(host))

    def discard(self, host: Host) -> None:
        """Take back a host that must not live on."""
        host.kill()
        self._destroy_soon(host)

    async def _recycle(self, host: Host) -> None:
        clean = False
        try:
            clean = await self._cleaned(host)
        finally:
            self._recycling.discard(host)
            self._leaving.add(host)
            if not clean:
                host.kill()
        if not clean or self._closing:
            self._tell_recycled()
            await self._destroy(host)
            return
        host.idle_since = time.monotonic()
        self._leaving.discard(host)
        self._kept.append(host)
        self._tell_recycled()
        self._sweep()

    def _tell_recycled(self) -> None:
        self._recycled.set()
        self._recycled = asyncio.Event()

    async def _cleaned(self, host: Host) -> bool:
        """Prove that the host is clean, and have it ready for another run."""
        try:
            clean = await proved_clean(host, self._baselines[host], self._settings.clean_timeout_s)
            if clean:
                host.group.set_limits(self.resting_limits(host.profile))
                clean = await host.renew(self._settings.renew_timeout_s)
        except (ChannelBrokenError, OSError):
            return False
        return clean

    def _destroy_soon(self, host: Host) -> None:
        self._leaving.add(host)
        self._spawn(self._destroy(host))

    async def _destroy(self, host: Host) -> None:
        try:
            gone = await host.close(self._settings.kill_timeout_s)
        finally:
            self._leaving.discard(host)
        if not gone:
            log.error("host_not_removed", host=host.name, pid=host.pid)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("pool_task_failed", exc_info=error)

    @property
    def holds(self) -> set[str]:
        """The names of the hosts that wait, are being made, or are being destroyed: everything but what runs."""
        return {host.name for host in (*self._warm, *self._kept, *self._recycling, *self._leaving)} | self._making

    @property
    def _target(self) -> int:
        since = time.monotonic() - _DEMAND_WINDOW_S
        recent = sum(1 for moment in self._taken if moment > since)
        return min(self._settings.max_warm_hosts, max(self._settings.warm_hosts, recent))

    async def run(self) -> None:
        """Keep enough hosts warm, and let go of those that nobody needs."""
        while True:
            while len(self._warm) + self._starting < self._target:
                self._starting += 1
                self._spawn(self._add_warm())
            self._sweep()
            self._low.clear()
            try:
                async with asyncio.timeout(_SWEEP_S):
                    await self._low.wait()
            except TimeoutError:
                continue

    async def _add_warm(self) -> None:
        try:
            self._warm.append(await self._start(self._default))
        except HostStartError as error:
            log.warning("host_start_failed", error=str(error))
            await asyncio.sleep(_RETRY_S)
        finally:
            self._starting -= 1

    def _sweep(self) -> None:
        oldest = time.monotonic() - self._settings.keep_s
        self._kept.sort(key=lambda host: host.idle_since)
        excess = len(self._kept) - self._settings.kept_hosts
        for index, host in enumerate(list(self._kept)):
            if index < excess or host.idle_since < oldest or not host.alive:
                self._kept.remove(host)
                self._destroy_soon(host)
        while len(self._warm) > self._target and self._warm[0].idle_since < oldest:
            self._destroy_soon(self._warm.popleft())

    async def abandon(self) -> None:
        """Let go of every waiting host without ending it."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for host in [*self._warm, *self._kept]:
            await host.let_go()

    async def close(self) -> None:
        """End every waiting host."""
        self._closing = True
        while self._tasks:
            await asyncio.wait(self._tasks)
        for host in [*self._warm, *self._kept]:
            await self._destroy(host)
        self._warm.clear()
        self._kept.clear()
