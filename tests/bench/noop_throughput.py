"""Workloads a second that do nothing, end to end and durable, against procrastinate's jobs on the same Postgres.

Ours: submitted one by one through the API, scheduled, started and ended by an executor process, every event synced to
disk, and projected into Postgres. Theirs: deferred one by one, worked off by a worker process. Both with the same
number of clients; the clock runs from the first submit until the last is seen in the database to have ended. The two
cores are shared by the clients and everything they talk to, in both arms.
"""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import asyncpg
import httpx
import msgspec
import procrastinate
import uvloop

from bench import procrastinate_worker
from bench.harness import Figure, Options, compare, interleave
from support.stack import Stack

_SECONDS: Final = 0.02
_EACH: Final = 500
"""Workloads, or jobs, a sample: enough for both to be busy for most of it, not only to get going and to end."""
_CLIENTS: Final = 32
_POLL_S: Final = 0.002
_TIMEOUT_S: Final = 30.0
_EVENTS: Final = 4
"""Submitted, scheduled, started, completed."""
_NODE: Final = "noop"
_BODY: Final = msgspec.json.encode({"runtime": "javascript", "source": {"type": "inline", "code": "1"}})
_LEFT: Final = "SELECT count(*) FROM procrastinate.procrastinate_jobs WHERE status IN ('todo', 'doing')"
_TESTS: Final = Path(__file__).parents[1]


def figures(options: Options) -> list[Figure]:
    """The median of both arms."""
    with (
        Stack.start(options.folder / "data") as stack,
        _noop_executor(stack, options.folder),
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        url = database_url(stack)
        exits = AsyncExitStack()
        try:
            ours = runner.run(exits.enter_async_context(Ours.open(stack, url)))
            theirs = runner.run(exits.enter_async_context(_theirs(url, options.folder)))
            taken = interleave(
                lambda: runner.run(ours.rate(_EACH)), lambda: runner.run(theirs(_EACH)), samples=options.samples
            )
            runner.run(ours.check())
        finally:
            runner.run(exits.aclose())
    what = "no-op workloads, submitted to projected, against procrastinate's jobs"
    return [compare(taken, identity="noop-throughput", what=what, unit="/s", goal=5.0, better="higher", quantile=50)]


def database_url(stack: Stack) -> str:
    """The embedded Postgres."""
    return f"postgresql://vulcan@/vulcan?host={stack.data / 'run'}"


@contextmanager
def _noop_executor(stack: Stack, folder: Path) -> Iterator[None]:
    """Beside the stack's own executor, which is drained: an executor process that does nothing."""
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith("VULCAN_")},
        "PYTHONPATH": str(_TESTS),
        "VULCAN_NATS_URL": (stack.data / "nats" / "url").read_text().strip(),
        "VULCAN_NODE": _NODE,
        "VULCAN_OPS_LISTEN": "127.0.0.1:0",
    }
    with _process(["support.noop_service"], environ, folder / "noop.log"), _client(stack) as client:
        give_up = time.monotonic() + _TIMEOUT_S
        while _NODE not in (nodes := [each["node"] for each in client.get("/v1/nodes").json()["items"]]):
            if time.monotonic() > give_up:
                raise TimeoutError((folder / "noop.log").read_text())
            time.sleep(_SECONDS)
        for node in nodes:
            if node != _NODE:
                client.post(f"/v1/nodes/{node}/drain").raise_for_status()
        yield


@contextmanager
def _process(arguments: list[str], environ: dict[str, str], log: Path) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, "-m", *arguments], env=environ, stdout=output, stderr=output)
        try:
            yield
        finally:
            process.terminate()
            process.wait(_TIMEOUT_S)


def _client(stack: Stack) -> httpx.Client:
    return httpx.Client(base_url=stack.url, headers={"Authorization": f"Bearer {stack.key}"})


class Ours:
    """Submits to the gateway; HTTP by hand, so that the client costs next to nothing."""

    def __init__(
        self, address: tuple[str, int], request: bytes, postgres: "asyncpg.Connection[asyncpg.Record]"
    ) -> None:
        self._address = address
        self._request = request
        self._postgres = postgres
        self._submitted = 0

    @classmethod
    @asynccontextmanager
    async def open(cls, stack: Stack, url: str) -> AsyncIterator["Ours"]:
        """With a connection to Postgres, to look for the end."""
        host, port = stack.url.removeprefix("http://").split(":")
        head = (
            f"POST /v1/workloads/async HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {stack.key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(_BODY)}\r\n\r\n"
        )
        postgres = await asyncpg.connect(url)
        try:
            yield cls((host, int(port)), head.encode() + _BODY, postgres)
        finally:
            await postgres.close()

    async def rate(self, count: int) -> float:
        """So many of them; how many a second were submitted, run and projected."""
        self._submitted += count
        end = await self._projected() + _EVENTS * count
        connections = [await asyncio.open_connection(*self._address) for _ in range(_CLIENTS)]

        async def is_projected() -> bool:
            return await self._projected() >= end

        started = time.perf_counter()
        await _by_all(count, [partial(self._submit, *each) for each in connections])
        await _until(is_projected)
        took = time.perf_counter() - started
        for _, writer in connections:
            writer.close()
        return count / took

    async def check(self) -> None:
        """All of them have really ended well."""
        completed = await self._postgres.fetchval("SELECT count(*) FROM workloads WHERE state = 'completed'")
        if completed != self._submitted:
            raise AssertionError(f"{completed} of {self._submitted} workloads are completed")

    async def _submit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(self._request)
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))
        if not head.startswith(b"HTTP/1.1 202"):
            raise AssertionError(f"not accepted: {head!r} {body!r}")

    async def _projected(self) -> int:
        return int(await self._postgres.fetchval("SELECT seq FROM projection_positions WHERE name = 'workloads'"))


@asynccontextmanager
async def _theirs(url: str, folder: Path) -> AsyncIterator[Callable[[int], Coroutine[Any, Any, float]]]:
    """Procrastinate in a schema of its own, a worker process, and what takes a sample."""
    postgres = await asyncpg.connect(url)
    await postgres.execute(f"CREATE SCHEMA {procrastinate_worker.SCHEMA}")
    client = procrastinate_worker.app(url)
    async with client.open_async():
        await client.schema_manager.apply_schema_async()
        with _process(["bench.procrastinate_worker", url], dict(os.environ), folder / "procrastinate.log"):
            try:
                yield lambda count: _jobs(client, postgres, count)
            finally:
                await postgres.close()


async def _jobs(client: procrastinate.App, postgres: "asyncpg.Connection[asyncpg.Record]", count: int) -> float:
    noop = client.tasks["noop"]

    async def is_done() -> bool:
        return bool(await postgres.fetchval(_LEFT) == 0)

    async def defer() -> None:
        await noop.defer_async(value=1)

    started = time.perf_counter()
    await _by_all(count, [defer] * _CLIENTS)
    await _until(is_done)
    return count / (time.perf_counter() - started)


async def _by_all(count: int, clients: list[Callable[[], Awaitable[None]]]) -> None:
    """Let every client do it, one after the other, until it was done so many times in all."""
    left = iter(range(count))

    async def work(client: Callable[[], Awaitable[None]]) -> None:
        for _ in left:
            await client()

    async with asyncio.TaskGroup() as group:
        for client in clients:
            group.create_task(work(client))


async def _until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(_TIMEOUT_S):
        while not await condition():  # noqa: ASYNC110 - another process changes it
            await asyncio.sleep(_POLL_S)
