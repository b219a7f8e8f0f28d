"""What a backend brings to the contract tests, and what they run it with."""

import asyncio
import unittest
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final, Protocol, TypeVar

from msgspec import Struct

from vulcan_contracts.ids import new_workload_id
from vulcan_contracts.spec import Spec
from vulcan_sandbox.protocol import Backend, Exit, OutputStream, RunRequest, Sandbox
from vulcan_sandbox.settings import ExecutorSettings
from vulcan_sandbox.source import source_tree

T = TypeVar("T")

DEADLINE_S: Final = 30.0


class Programs(Protocol):
    """One program for each behaviour, in the backend's language; None where the language has no way to show it."""

    def prints(self, stdout: str, stderr: str) -> Spec:
        """Prints one line on each stream, and ends well."""
        ...

    def prints_bytes(self, data: bytes) -> Spec | None:
        """Writes exactly these bytes on stdout."""
        ...

    def counts(self, lines: int) -> Spec:
        """Prints 1, 2, 3 ... a line each, as fast as it can."""
        ...

    def echoes_stdin(self) -> Spec:
        """Prints its stdin. The test fills in `stdin`."""
        ...

    def prints_args(self) -> Spec:
        """Prints each argument on a line. The test fills in `args`."""
        ...

    def prints_env(self, name: str) -> Spec:
        """Prints one environment variable. The test fills in `env`."""
        ...

    def exits(self, code: int) -> Spec:
        """Ends with an exit code."""
        ...

    def returns(self, value: object) -> Spec | None:
        """Has a JSON value as its result."""
        ...

    def hangs(self) -> Spec:
        """Prints `ready`, then waits for ever, without burning CPU."""
        ...

    def spins(self) -> Spec | None:
        """Prints `ready`, then burns CPU for ever, deaf to any polite request to end."""
        ...

    def floods(self) -> Spec:
        """Prints for ever, as fast as it can."""
        ...

    def leaves(self, path: str, content: str) -> Spec | None:
        """Leaves a file at this relative path, in folders that may have to be made. The test fills in `artifacts`."""
        ...

    def hogs_memory(self) -> Spec | None:
        """Takes memory, and keeps it, until it is stopped. The test fills in `resources.memory_mb`."""
        ...

    def is_broken(self) -> Spec | None:
        """Is no program of this language: refused by `prepare`, or ended with `invalid_source` or a non-zero exit."""
        ...

    def imports_sibling(self, printed: str) -> Spec | None:
        """Several files; the entrypoint prints what another file of it holds."""
        ...


class Target(Struct, kw_only=True):
    """A backend under test.

    leftovers: whatever of any sandbox is there now (processes, folders, cgroups ...), in words; what the backend keeps
    warm is none. reborn: end the backend as a crash would, and give the next life of it; None if that cannot be done.
    """

    backend: Backend
    programs: Programs
    leftovers: Callable[[], Sequence[object]]
    reborn: Callable[[], Awaitable[Backend]] | None = None


class Output:
    """An output sink that keeps everything, and can be made to wait."""

    def __init__(self) -> None:
        self.streams: dict[OutputStream, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}
        self._grown = asyncio.Event()
        self.open = asyncio.Event()
        self.open.set()
        self.waiting = 0

    async def __call__(self, stream: OutputStream, data: bytes) -> None:
        """Take some bytes."""
        self.streams[stream] += data
        self._grown.set()
        self.waiting += 1
        await self.open.wait()
        self.waiting -= 1

    @property
    def stdout(self) -> str:
        """All of stdout so far."""
        return self.streams["stdout"].decode()

    @property
    def stderr(self) -> str:
        """All of stderr so far."""
        return self.streams["stderr"].decode()

    @property
    def size(self) -> int:
        """How much came so far."""
        return sum(map(len, self.streams.values()))

    async def until(self, enough: Callable[["Output"], bool]) -> None:
        """Wait until what came is enough."""
        while not enough(self):
            self._grown.clear()
            await self._grown.wait()


class _NoBlobs:
    """No contract program has an archive."""

    async def open(self, name: str) -> AsyncIterator[bytes]:
        yield name.encode()


def request(spec: Spec, *, tenant: str = "contract") -> RunRequest:
    """A run of this spec."""
    tree = source_tree(spec, tenant, _NoBlobs(), ExecutorSettings())
    return RunRequest(workload_id=new_workload_id(), tenant=tenant, attempt=1, spec=spec, source=tree)


async def within(work: Awaitable[T], deadline_s: float = DEADLINE_S) -> T:
    """What the work gives; a test that hangs says where."""
    async with asyncio.timeout(deadline_s):
        return await work


async def run(target: Target, spec: Spec, *, tenant: str = "contract") -> tuple[Exit, Output]:
    """Run a program to its end."""
    output = Output()
    async with prepared(target, spec, tenant=tenant) as sandbox:
        await within(sandbox.start(output))
        return await within(sandbox.wait()), output


@asynccontextmanager
async def prepared(target: Target, spec: Spec, *, tenant: str = "contract") -> AsyncIterator[Sandbox]:
    """A sandbox for a program, closed afterwards."""
    sandbox = await within(target.backend.prepare(request(spec, tenant=tenant), ignore))
    try:
        yield sandbox
    finally:
        await within(sandbox.close())


def available(spec: Spec | None) -> Spec:
    """The program; the test is skipped where there is none."""
    if spec is None:
        raise unittest.SkipTest("this backend's language has no program for it")
    return spec


def ignore(_message: str) -> None:
    """A `say` that nobody hears."""
