"""`python -m bench.procrastinate_worker URL`: procrastinate's worker, with a task that does nothing.

The best of what was tried: its async connector with a pool, woken by LISTEN/NOTIFY, `CONCURRENCY` jobs at once, uvloop.
"""

import asyncio
import sys
from typing import Final

import procrastinate
import uvloop

SCHEMA: Final = "procrastinate"
CONCURRENCY: Final = 8
POOL: Final = 10


def app(url: str, *, pool: int = POOL) -> procrastinate.App:
    """The application, in a schema of its own; `noop` is its only task."""
    connector = procrastinate.PsycopgConnector(
        conninfo=url, min_size=pool, max_size=pool, kwargs={"options": f"-c search_path={SCHEMA}"}
    )
    made = procrastinate.App(connector=connector)
    made.task(name="noop")(_noop)
    return made


async def _noop(value: int) -> None:
    """Nothing."""


async def _work(url: str) -> None:
    worker = app(url)
    async with worker.open_async():
        await worker.run_worker_async(concurrency=CONCURRENCY, listen_notify=True)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_work(sys.argv[1]))
