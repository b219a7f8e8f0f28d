"""What a run costs in the V8 backend alone: latency, runs per second, CPU and memory of hosts.

From the folder tests: `python -m bench.v8_host`.
No NATS, no Postgres, no HTTP. `deno run` of the same file is taken in turn as the other arm, so that the ratios hold on
a machine that has other things to do; the load is printed beside them.
"""

import argparse
import asyncio
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import structlog
from deno import find_deno_bin
from msgspec import Struct

from support.v8_backend import backend
from support.v8_runs import program
from vulcan_executor_v8.backend import V8Backend
from vulcan_executor_v8.sandbox import V8Sandbox
from vulcan_sandbox.contract import request
from vulcan_sandbox.protocol import OutputStream

CODE = "console.log('hello', 6 * 7);\n"
_SPEC = program(CODE, runtime="javascript", entrypoint="main.js")
_REST_S = 0.1
"""Between single runs: a host is back, with its next Worker made, before the next one comes."""


class Run(Struct, kw_only=True):
    """One run, in milliseconds."""

    prepare: float
    first: float
    end: float
    cpu: float


class _First:
    def __init__(self) -> None:
        self.at = 0.0

    async def __call__(self, stream: OutputStream, data: bytes) -> None:  # noqa: ARG002  # a sink
        self.at = self.at or time.perf_counter()


async def one(v8: V8Backend, *, rest_s: float = 0.0) -> Run:
    """One run; with a rest, after which the CPU time of its host holds the proof and the next Worker too."""
    output, started = _First(), time.perf_counter()
    sandbox = await v8.prepare(request(_SPEC), lambda _: None)
    prepared = time.perf_counter()
    assert isinstance(sandbox, V8Sandbox)
    host = sandbox._host
    cpu = host.cpu_s()
    await sandbox.start(output)
    exit_ = await sandbox.wait()
    ended = time.perf_counter()
    await sandbox.close()
    assert exit_.exit_code == 0, exit_
    await asyncio.sleep(rest_s)
    return Run(
        prepare=(prepared - started) * 1000,
        first=(output.at - prepared) * 1000,
        end=(ended - prepared) * 1000,
        cpu=(host.cpu_s() - cpu) * 1000,
    )


def deno_run(script: Path) -> tuple[float, float]:
    """Milliseconds to the first output and of CPU, of a process of its own."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    with subprocess.Popen([find_deno_bin(), "run", "--no-config", str(script)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        first = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return first * 1000, (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000


async def per_second(v8: V8Backend, concurrency: int, runs: int) -> float:
    """Runs of one tenant per second."""
    left = iter(range(runs))

    async def work() -> None:
        for _ in left:
            await one(v8)

    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(work())
    return runs / (time.perf_counter() - started)


async def deno_per_second(script: Path, concurrency: int, runs: int) -> float:
    """Processes per second."""
    started = time.perf_counter()
    gate = asyncio.Semaphore(concurrency)

    async def work() -> None:
        async with gate:
            command = (find_deno_bin(), "run", "--no-config", str(script))
            await (await asyncio.create_subprocess_exec(*command, stdout=subprocess.DEVNULL)).wait()

    async with asyncio.TaskGroup() as group:
        for _ in range(runs):
            group.create_task(work())
    return runs / (time.perf_counter() - started)


def memory(pid: int) -> str:
    """Resident, proportional and private memory of a process, in MiB."""
    kib: dict[str, int] = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, value, *_ = line.split()
        kib[name.rstrip(":")] = int(value)
    private = kib["Private_Clean"] + kib["Private_Dirty"]
    return f"rss {kib['Rss'] >> 10}, pss {kib['Pss'] >> 10}, private {private >> 10} MiB"


async def measure(samples: int) -> None:
    """Print it all."""
    with tempfile.TemporaryDirectory(prefix="vulcan-bench-") as folder:
        script = Path(folder) / "main.js"
        script.write_text(CODE)
        async with backend(warm_hosts=4, max_warm_hosts=8) as v8:
            await v8.probe()
            for _ in range(5):
                await one(v8, rest_s=_REST_S)
            await _single(v8, script, samples)
            for concurrency in (1, 2, 4):
                ours = await per_second(v8, concurrency, samples * 2)
                theirs = await deno_per_second(script, concurrency, samples)
                ratio = f"ratio {ours / theirs:.2f}; {_load()}"
                _say(f"{concurrency} at once: {ours:.1f} runs/s, deno run {theirs:.1f}/s, {ratio}")
            pool = v8._pool
            assert pool is not None
            for kind, hosts in (("warm", pool._warm), ("kept", pool._kept)):
                for host in list(hosts)[:2]:
                    _say(f"{kind} host, {host.runs} runs: {memory(host.pid)}")


async def _single(v8: V8Backend, script: Path, samples: int) -> None:
    ours: list[Run] = []
    theirs: list[tuple[float, float]] = []
    for _ in range(samples):
        ours.append(await one(v8, rest_s=_REST_S))
        theirs.append(await asyncio.to_thread(deno_run, script))
    for name in Run.__struct_fields__:
        values = [getattr(run, name) for run in ours]
        _say(f"{name}: p50 {statistics.median(values):.2f}, least {min(values):.2f} ms")
    for name, values in (("first", [run[0] for run in theirs]), ("cpu", [run[1] for run in theirs])):
        _say(f"deno run, {name}: p50 {statistics.median(values):.2f}, least {min(values):.2f} ms")
    _say(_load())


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def _load() -> str:
    return f"load {os.getloadavg()[0]:.1f} on {len(os.sched_getaffinity(0))} cores"


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=50)
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(measure(parser.parse_args().samples))


if __name__ == "__main__":
    main()
