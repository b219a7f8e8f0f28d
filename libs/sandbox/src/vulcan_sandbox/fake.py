"""A backend without isolation, for tests of everything around one: runs tiny scripts inside this process.

A script has one command a line; `fake_script` says which. Everything is deterministic: nothing happens that no command
asked for. It passes the contract tests, so what works with it works with the others.
"""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec

from vulcan_contracts.nodes import BackendReport, Capacity
from vulcan_contracts.outcome import Usage
from vulcan_contracts.spec import Backend as Isolation
from vulcan_sandbox.fake_script import Script, parse
from vulcan_sandbox.globs import matches_any
from vulcan_sandbox.protocol import BackendFaultError, Exit, OutputSink, ProducedArtifact, RunRequest

SIGTERM = 15
SIGKILL = 9


class FakeArtifact:
    """A file in memory."""

    def __init__(self, name: str, content: bytes) -> None:
        self._name = name
        self._content = content

    @property
    def name(self) -> str:
        """Its relative path."""
        return self._name

    @property
    def size_bytes(self) -> int:
        """Its size."""
        return len(self._content)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Its content."""
        for start in range(0, len(self._content), 65_536):
            yield self._content[start : start + 65_536]


class FakeSandbox:
    """A script and the folder it came from."""

    def __init__(self, backend: "FakeBackend", run: RunRequest, folder: Path, script: Script) -> None:
        self._backend = backend
        self._run = run
        self._folder = folder
        self._script = script
        self._task: asyncio.Task[Exit] | None = None
        self._killed = False
        self._term = asyncio.Event()
        self._kills = 0

    @property
    def image_digest(self) -> str | None:
        """The digest of the OCI image, made up from its name."""
        return "sha256:" + "0" * 64 if self._run.source is None else None

    async def start(self, sink: OutputSink) -> None:
        """Let the script run."""
        if self._killed:
            raise BackendFaultError("killed before its start")
        self._backend.started.append(self._run.workload_id)
        self._task = asyncio.create_task(self._execute(sink), name=f"fake {self._run.workload_id}")
        self._backend.tasks.add(self._task)
        self._task.add_done_callback(self._backend.tasks.discard)

    async def _execute(self, sink: OutputSink) -> Exit:
        began = asyncio.get_running_loop().time()
        exit_ = await self._script.run(self._run.spec, sink, self._term)
        wall_ms = (asyncio.get_running_loop().time() - began) * 1000
        return msgspec.structs.replace(exit_, usage=Usage(wall_ms=wall_ms, cpu_ms=0.0, max_memory_bytes=0))

    async def wait(self) -> Exit:
        """The end of the script."""
        if self._task is None:
            raise BackendFaultError("never started")
        await asyncio.wait({self._task})
        if self._task.cancelled():
            return Exit(signal=SIGKILL)
        return self._task.result()

    async def kill(self, grace_s: float) -> None:
        """Ask, and end by force after the grace."""
        self._killed = True
        if self._task is None or self._task.done():
            return
        if grace_s > 0:
            self._term.set()
            await asyncio.wait({self._task}, timeout=grace_s)
        self._task.cancel()
        await asyncio.wait({self._task})

    async def artifacts(self, patterns: list[str]) -> list[ProducedArtifact]:
        """The files that the script said it left."""
        files = self._script.files
        return [FakeArtifact(name, content) for name, content in files.items() if matches_any(patterns, name)]

    async def close(self) -> None:
        """End the script and remove its folder."""
        await self.kill(0)
        if self._folder.exists():
            await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)
        self._backend.sandboxes.discard(self)


class FakeBackend:
    """Runs scripts. `root` is where folders are made; given the same one, the next life finds what this one left."""

    def __init__(
        self,
        *,
        isolation: Isolation = "v8",
        capacity: Capacity | None = None,
        root: Path | None = None,
        available: bool = True,
    ) -> None:
        self._isolation = isolation
        self.limits = capacity or Capacity(cpus=64, memory_mb=65_536, slots=64)
        """The capacity; may be changed while it runs."""
        self.available = available
        self._own_root = root is None
        self.root = root or Path(tempfile.mkdtemp(prefix="vulcan-fake-"))
        self.sandboxes: set[FakeSandbox] = set()
        self.tasks: set[asyncio.Task[Exit]] = set()
        self.started: list[str] = []
        """The ids of all workloads whose code ran, in order."""

    @property
    def isolation(self) -> Isolation:
        """Which backend it stands for."""
        return self._isolation

    @property
    def capacity(self) -> Capacity:
        """What it pretends to hold."""
        return self.limits

    async def probe(self) -> BackendReport:
        """It works wherever Python does."""
        if not self.available:
            return BackendReport(
                isolation=self._isolation, available=False, unavailable_reason="told not to work", hint="tell it to"
            )
        return BackendReport(
            isolation=self._isolation,
            available=True,
            engine="fake",
            runtimes=["javascript", "typescript", "python", "node", "go", "shell"],
            boundary="none: for tests only",
        )

    async def recover(self) -> None:
        """Remove the folders that an earlier life left."""
        for folder in self.leftovers():
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    async def prepare(self, run: RunRequest, say: Callable[[str], None]) -> FakeSandbox:
        """Write the source into a folder, and read the script from it."""
        folder = Path(tempfile.mkdtemp(prefix=f"{run.workload_id}-", dir=self.root))
        try:
            text = ""
            if run.source is not None:
                await run.source.write_to(folder)
                text = (folder / run.source.entrypoint).read_text(errors="replace")
            script = parse(text, folder)
            await script.prepare(say)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        sandbox = FakeSandbox(self, run, folder, script)
        self.sandboxes.add(sandbox)
        return sandbox

    async def close(self) -> None:
        """End every sandbox."""
        for sandbox in list(self.sandboxes):
            await sandbox.close()
        if self._own_root:
            await asyncio.to_thread(shutil.rmtree, self.root, ignore_errors=True)

    def leftovers(self) -> list[Path]:
        """The folders that are there now: of live sandboxes, and of those that nobody closed."""
        return sorted(self.root.iterdir()) if self.root.exists() else []

    async def die(self) -> None:
        """End as a crash would: the scripts stop, and nothing is cleared away."""
        for task in list(self.tasks):
            task.cancel()
            await asyncio.wait({task})
        self.sandboxes.clear()
