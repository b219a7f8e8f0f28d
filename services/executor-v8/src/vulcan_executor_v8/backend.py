"""The V8 backend: what it offers here, and a sandbox for each run."""

import asyncio
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import structlog
from msgspec import Struct

from vulcan_contracts.nodes import BackendReport, Capacity
from vulcan_contracts.reasons import Reason
from vulcan_contracts.spec import Backend as Isolation
from vulcan_executor_v8.artifacts import Spool
from vulcan_executor_v8.cgroups.group import Limits
from vulcan_executor_v8.cgroups.tree import CgroupTree
from vulcan_executor_v8.egress.addresses import own_addresses
from vulcan_executor_v8.egress.proxy import EgressProxy
from vulcan_executor_v8.host.pool import Pool
from vulcan_executor_v8.host.process import Host, HostStartError
from vulcan_executor_v8.jail.launch import Launcher, Profile
from vulcan_executor_v8.jail.levels import Level, Tools, boundary, candidates, warnings
from vulcan_executor_v8.owner import LOCK, Ownership
from vulcan_executor_v8.probe import ProbeFailedError, try_level
from vulcan_executor_v8.recover import destroy_leftovers, remove_node, sweep_others, using
from vulcan_executor_v8.sandbox import V8Sandbox
from vulcan_executor_v8.settings import V8Settings
from vulcan_executor_v8.watch import Watch
from vulcan_sandbox.egress import IpNetwork, policy
from vulcan_sandbox.protocol import BackendFaultError, RunRefusedError, RunRequest, Sandbox

_MIB: Final = 1_048_576
_MAX_ARTIFACTS: Final = 4096

log = structlog.get_logger(__name__)


class Machine(Struct, frozen=True, kw_only=True):
    """What this node is made of."""

    cores: int
    memory_mb: int


class V8Backend:
    """Runs JavaScript and TypeScript in jailed Deno hosts."""

    def __init__(
        self,
        settings: V8Settings,
        *,
        machine: Machine,
        tools: Tools,
        tree: CgroupTree,
        run_dir: Path,
        deno: str,
        egress_exceptions: Sequence[IpNetwork] = (),
    ) -> None:
        self._settings = settings
        self._machine = machine
        self._tools = tools
        self._tree = tree
        self._run_dir = run_dir
        self._deno = deno
        self._egress_exceptions = egress_exceptions
        self._ownership = Ownership(run_dir.name, run_dir, tree)
        self._watch = Watch(settings.watch_interval_s)
        self._runs = itertools.count(1)
        self._sandboxes: set[V8Sandbox] = set()
        self._pool: Pool | None = None
        self._level: Level = "none"
        self._background: list[asyncio.Task[None]] = []
        self._probing = asyncio.Lock()
        self._report: BackendReport | None = None

    @property
    def isolation(self) -> Isolation:
        """`v8`."""
        return "v8"

    @property
    def capacity(self) -> Capacity:
        """Cores times the overcommit, and part of the machine's memory."""
        cores = self._machine.cores * self._settings.overcommit
        return Capacity(
            cpus=cores,
            memory_mb=self._settings.memory_mb or self._machine.memory_mb // 2,
            slots=self._settings.slots or max(1, int(cores)),
        )

    async def probe(self) -> BackendReport:
        """Run a program through the strongest jail that works here, and say what holds."""
        async with self._probing:
            if self._report is None or not self._report.available:
                self._report = await self._probe()
            return self._report

    async def _probe(self) -> BackendReport:
        refused: list[str] = []
        await self.own()
        for level in candidates(self._tools, self._settings.jail):
            launcher = Launcher(level, self._tools, self._deno, self._settings.npm_dir, self._settings.scratch_mb)
            try:
                engine = await try_level(launcher, self._tree, self._run_dir, self._settings)
            except ProbeFailedError as error:
                refused.append(f"The jail level {level} does not work here: {error}")
                continue
            self._begin(launcher)
            return BackendReport(
                isolation="v8",
                available=True,
                engine=engine,
                runtimes=["javascript", "typescript"],
                features=self._features(level),
                boundary=boundary(level, self._tools, self._tree.controllers),
                warnings=warnings(level, self._tools, self._tree.missing, refused),
                details={
                    "jail": level,
                    "seccomp": level != "none" and self._tools.seccomp is not None,
                    "cgroups": self._tree.controllers,
                    "reuse": self._settings.reuse,
                },
            )
        return BackendReport(
            isolation="v8",
            available=False,
            unavailable_reason=" ".join(refused) or f"No jail level {self._settings.jail} here.",
            hint="Install bubblewrap (Debian: apt install bubblewrap), or set VULCAN_V8_JAIL=auto.",
        )

    def _features(self, level: Level) -> list[str]:
        features = ["artifacts", "input", "result"]
        if level != "none":
            features.append("egress")
        if self._settings.npm_dir:
            features.append("npm")
        return features

    def _begin(self, launcher: Launcher) -> None:
        self._level = launcher.level
        starters = self._settings.starters or self._machine.cores
        self._pool = Pool(self._settings, launcher, self._tree, self._run_dir, starters)
        loop = asyncio.get_running_loop()
        self._background = [loop.create_task(self._pool.run()), loop.create_task(self._watch.run())]

    async def own(self) -> None:
        """Be the only executor of this name on this machine, until `close`.

        Raises:
            NodeTakenError: another one is alive.
        """
        await self._ownership.take()

    async def recover(self) -> None:
        """Destroy what an earlier life of this executor left behind, and other executors that are dead.

        Raises:
            NodeTakenError: an executor of this name is alive.
        """
        await self.own()
        await destroy_leftovers(self._tree, self._run_dir, self._settings.kill_timeout_s)
        await sweep_others(self._tree, self._run_dir, self._settings.kill_timeout_s)

    async def prepare(self, run: RunRequest, say: Callable[[str], None]) -> Sandbox:
        """Find a host and put the sources in front of it.

        Raises:
            RunRefusedError: for a reason that belongs to the user.
            BackendFaultError: for one that does not.
        """
        pool = await self._ready_pool()
        profile = self._profile(run)
        if run.source is None:
            raise RunRefusedError(Reason.INVALID_SOURCE, "V8 runs JavaScript and TypeScript, not images.")
        try:
            host = await pool.take(run.tenant, profile, stdin=bool(run.spec.stdin))
        except HostStartError as error:
            raise BackendFaultError(f"No host could be started: {error}") from error
        folder = str(next(self._runs))
        proxy = self._proxy(run)
        try:
            if proxy is not None:
                await proxy.listen(host.folder / "ctl" / "proxy")
            await self._place(run, host, folder)
            limits = self._limits(run)
            host.group.set_limits(limits)
        except RunRefusedError:
            if proxy is None:
                try:
                    await host.remove_source(folder)
                finally:
                    pool.restore(host)
            else:
                await self._give_up(pool, host, proxy)
            raise
        except OSError as error:
            await self._give_up(pool, host, proxy)
            raise BackendFaultError(f"The run's limits could not be set: {error.strerror}.") from error
        except BaseException:
            await self._give_up(pool, host, proxy)
            raise
        sandbox = V8Sandbox(
            run,
            host,
            folder=folder,
            limits=limits,
            spool=Spool(None, max_bytes=run.spec.resources.disk_mb * _MIB, max_count=_MAX_ARTIFACTS),
            watch=self._watch,
            release=self._release,
            say=say,
            proxy=proxy,
            kill_timeout_s=self._settings.kill_timeout_s,
        )
        self._sandboxes.add(sandbox)
        return sandbox

    async def _give_up(self, pool: Pool, host: Host, proxy: EgressProxy | None) -> None:
        pool.discard(host)
        if proxy is not None:
            await proxy.close()

    def _proxy(self, run: RunRequest) -> EgressProxy | None:
        if run.spec.network.egress == "none":
            return None
        return EgressProxy(
            policy(run.spec.network, own_addresses=own_addresses(), exceptions=self._egress_exceptions),
            connect_timeout_s=self._settings.connect_timeout_s,
            max_connections=self._settings.max_connections,
        )

    async def _ready_pool(self) -> Pool:
        if self._pool is None:
            report = await self.probe()
            if self._pool is None:
                raise BackendFaultError(report.unavailable_reason)
        return self._pool

    def _profile(self, run: RunRequest) -> Profile:
        wanted = run.spec.resources.memory_mb
        egress = run.spec.network.egress != "none"
        if egress and self._level == "none":
            raise RunRefusedError(
                Reason.BACKEND_UNAVAILABLE, "This node cannot confine network access: it has no bubblewrap."
            )
        fitting = [size for size in sorted(self._settings.heap_classes_mb) if size >= wanted]
        return Profile(heap_mb=fitting[0] if fitting else wanted, egress=egress)

    def _limits(self, run: RunRequest) -> Limits:
        resources = run.spec.resources
        return Limits(
            memory_bytes=(resources.memory_mb + self._settings.overhead_mb) * _MIB,
            cpus=resources.cpus,
            pids=resources.pids + self._settings.overhead_pids,
        )

    async def _place(self, run: RunRequest, host: Host, folder: str) -> None:
        place = host.source / folder
        place.mkdir()
        place.chmod(0o755)
        if run.source is not None:
            await run.source.write_to(place)

    def _release(self, sandbox: V8Sandbox, host: Host | None) -> None:
        self._sandboxes.discard(sandbox)
        if self._pool is not None and host is not None:
            self._pool.give_back(host)

    def leftovers(self) -> list[str]:
        """What is there now of runs, whoever made it: folders of sources, and hosts that are not the pool's."""
        waiting = set() if self._pool is None else self._pool.holds
        found = [str(folder) for folder in self._run_dir.glob("*/src/*")]
        found += [str(folder) for folder in self._run_dir.glob("*") if folder.name not in {*waiting, LOCK}]
        for pid, words in using(self._run_dir).items():
            if not any(f"{self._run_dir}/{name}/" in words for name in waiting):
                found.append(f"process {pid}")
        return found

    async def abandon(self) -> None:
        """Stop as a crash would: nothing is killed, nothing is cleared away. For tests of what comes after."""
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        for sandbox in self._sandboxes:
            await sandbox.abandon()
        self._sandboxes.clear()
        if self._pool is not None:
            await self._pool.abandon()
        self._pool = None
        self._ownership.release()

    async def close(self) -> None:
        """End every sandbox and every waiting host."""
        for sandbox in list(self._sandboxes):
            await sandbox.close()
        self._sandboxes.clear()
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        if self._pool is not None:
            await self._pool.close()
            self._pool = None
        self._report = None
        if not self._ownership.held:
            return
        await destroy_leftovers(self._tree, self._run_dir, self._settings.kill_timeout_s)
        remove_node(self._tree, self._run_dir)
        self._ownership.release()
