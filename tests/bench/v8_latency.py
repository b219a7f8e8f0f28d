"""From the request to the first output in the client's hands, against `deno run` of the same file."""

import json
import subprocess
import time
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

from deno import find_deno_bin

from bench.harness import Figure, Options, compare, interleave
from support.stack import Stack

CODE = "console.log('hello', 6 * 7);\n"
REST_S = 0.05
"""What a run leaves to do, above all the next Worker, is done by then."""
_BODY = json.dumps({"runtime": "javascript", "source": {"type": "inline", "code": CODE}}).encode()


def figures(options: Options) -> list[Figure]:
    """p50 and p99 of both arms."""
    script = options.folder / "main.js"
    script.write_text(CODE)
    with Stack.start(options.folder / "data") as stack:
        where = urlsplit(stack.url)
        with closing(HTTPConnection(str(where.hostname), where.port, timeout=30)) as connection:
            taken = interleave(
                lambda: _vulcan(connection, stack.key),
                lambda: _deno(script),
                samples=options.samples,
                warm_up=10,
                rest_s=REST_S,
            )
    what = "v8: request to output, against deno run of the same file"
    return [
        compare(
            taken, identity=f"v8-latency-p{p}", what=f"{what}, p{p}", unit="ms", goal=0.15, better="lower", quantile=p
        )
        for p in (50, 99)
    ]


def _vulcan(connection: HTTPConnection, key: str) -> float:
    """The clock stops at the first line; the rest of the answer is read before the next sample begins."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json", "Accept": "text/event-stream"}
    started, took = time.perf_counter(), 0.0
    connection.request("POST", "/v1/workloads", _BODY, headers)
    answer = connection.getresponse()
    while line := answer.readline():
        if not took and line.startswith(b"data: ") and b'"hello 42"' in line:
            took = time.perf_counter() - started
    assert took, "no output came"
    return took * 1000


def _deno(script: Path) -> float:
    started = time.perf_counter()
    with subprocess.Popen([find_deno_bin(), "run", "--no-config", str(script)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        took = time.perf_counter() - started
    assert first == b"hello 42\n"
    return took * 1000
