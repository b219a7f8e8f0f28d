"""Runs on the V8 backend alone, without NATS, Postgres and HTTP, and `deno run` of the same program beside them."""

import asyncio
import time
from pathlib import Path
from typing import Final

from deno import find_deno_bin

from support.v8_runs import program
from vulcan_executor_v8.backend import V8Backend
from vulcan_sandbox.contract import request
from vulcan_sandbox.protocol import OutputStream

CODE: Final = "console.log('hello', 6 * 7);\n"
SPEC: Final = program(CODE, runtime="javascript", entrypoint="main.js")
_PRINTED: Final = b"hello 42\n"


async def run(v8: V8Backend) -> None:
    """One run, from its preparation to its end."""
    printed = bytearray()

    async def sink(stream: OutputStream, data: bytes) -> None:
        printed.extend(data)

    sandbox = await v8.prepare(request(SPEC), lambda _: None)
    try:
        await sandbox.start(sink)
        ended = await sandbox.wait()
    finally:
        await sandbox.close()
    assert ended.exit_code == 0, ended
    assert printed == _PRINTED


async def sustained(v8: V8Backend, at_once: int, *, runs: int) -> float:
    """Runs per second, until every host that served one is ready again and no other is being started."""
    left = iter(range(runs))

    async def work() -> None:
        for _ in left:
            await run(v8)

    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(work())
    assert v8._pool is not None
    while v8._pool._tasks:
        await asyncio.wait(v8._pool._tasks)
    return runs / (time.perf_counter() - started)


async def deno_run(script: Path, at_once: int, *, runs: int) -> float:
    """Processes per second. xargs starts them, which costs less than Python would."""
    command = ("xargs", "-P", str(at_once), "-n", "1", find_deno_bin(), "run", "--no-config", str(script))
    started = time.perf_counter()
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    printed, _ = await process.communicate(b"".join(b"%d\n" % number for number in range(runs)))
    took = time.perf_counter() - started
    assert process.returncode == 0
    assert printed == _PRINTED * runs
    return runs / took
