"""Private memory of a host that waits ready for anybody's first run, against the memory of `deno run`.

Ours: the private pages (clean and dirty) of every process of the host, bubblewrap's too, after it has waited a while,
with others waiting beside it as always. Pages of Deno's file are in memory once for all hosts and are in nobody's
figure. A host is measured once, and another takes its place.
Theirs: the most that `deno run` of a program that prints one line had resident when it has printed it.
"""

import asyncio
import subprocess
import time
from pathlib import Path
from typing import Final

from deno import find_deno_bin

from bench import v8_runs
from bench.harness import Figure, Options, compare, interleave
from support.v8_backend import backend
from vulcan_executor_v8.backend import V8Backend
from vulcan_executor_v8.sandbox import V8Sandbox
from vulcan_sandbox.contract import request

_CODE: Final = f"{v8_runs.CODE}Deno.stdin.readSync(new Uint8Array(1));\n"
_WARM: Final = 4
_REST_S: Final = 0.25
"""Before each sample: a host has waited for four of them when it is measured."""
_KIB_IN_MIB: Final = 1024


def figures(options: Options) -> list[Figure]:
    """The median of both arms."""
    script = options.folder / "main.js"
    script.write_text(_CODE)
    with asyncio.Runner() as runner:
        made = backend(warm_hosts=_WARM, max_warm_hosts=_WARM)
        v8 = runner.run(made.__aenter__())
        try:
            runner.run(v8.probe())
            taken = interleave(
                lambda: runner.run(_host(v8)), lambda: _deno_run(script), samples=options.samples, warm_up=_WARM
            )
        finally:
            runner.run(made.__aexit__(None, None, None))
    what = "v8: private memory of a host that waits, against what deno run has resident"
    return [compare(taken, identity="v8-memory", what=what, unit="MiB", goal=0.2, better="lower", quantile=50)]


async def _host(v8: V8Backend) -> float:
    """MiB of the host that has waited longest; no program has run in it, nor will."""
    await asyncio.sleep(_REST_S)
    sandbox = await v8.prepare(request(v8_runs.SPEC), lambda _: None)
    assert isinstance(sandbox, V8Sandbox)
    host = sandbox._host
    assert host.runs == 1, "not a new one"
    assert host._process is not None
    private = sum(_private_kib(pid) for pid in _with_descendants(host._process.pid))
    await sandbox.close()
    return private / _KIB_IN_MIB


def _deno_run(script: Path) -> float:
    time.sleep(_REST_S)
    command = (find_deno_bin(), "run", "--no-config", str(script))
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"hello 42\n"
        peak = _fields(Path(f"/proc/{process.pid}/status").read_text())["VmHWM"]
    assert process.returncode == 0
    return peak / _KIB_IN_MIB


def _private_kib(pid: int) -> int:
    memory = _fields(Path(f"/proc/{pid}/smaps_rollup").read_text())
    return memory["Private_Clean"] + memory["Private_Dirty"]


def _with_descendants(pid: int) -> list[int]:
    children = [int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in _words(task / "children")]
    return [pid, *(found for child in children for found in _with_descendants(child))]


def _words(file: Path) -> list[str]:
    return file.read_text().split()


def _fields(text: str) -> dict[str, int]:
    """The lines `name: number kB` of a file in /proc."""
    lines = (line.split() for line in text.splitlines())
    return {words[0].rstrip(":"): int(words[1]) for words in lines if len(words) == 3 and words[2] == "kB"}
