"""How cost grows with history: the same measurements with 100, 10,000 and 1,000,000 workloads that have ended.

From the folder tests: `python -m bench.growth` does it all in a temporary folder and prints a table; it takes about
twenty minutes and 12 GB. In steps, to keep the machine quiet for the second kind only:

    python -m bench.growth fill FOLDER 10000     so many workloads in all are then there
    python -m bench.growth measure FOLDER        adds a column
    python -m bench.growth show FOLDER           the table

How a history is made is in `growth_fill`. The stack that is measured is a real `vulcan up`, and each figure the median
of what a client sees over HTTP. A first start after filling reads everything that was added; what is measured is a
start after an orderly stop, as every later one is.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec

import support.stack
from bench import growth_fill
from support.stack import Stack
from vulcan_contracts import subjects
from vulcan_eventstore.connection import Bus, NatsSettings
from vulcan_gateway.domain.cursors import ListCursor, encode_list_cursor

SIZES: Final = (100, 10_000, 1_000_000)
_SAMPLES: Final = 40
_START_S: Final = 900.0
_REST_S: Final = 0.05
_MIB: Final = 1_048_576
_OLD: Final = 20
"""Workloads from all of history that are asked for in turn."""
_AT: Final = "SELECT id FROM workloads WHERE tenant = 'default' AND submitted_at >= $1 ORDER BY submitted_at LIMIT 1"
_SETTINGS: Final = {"VULCAN_START_TIMEOUT_S": f"{_START_S:g}"}


def fill(folder: Path, total: int) -> None:
    """Have so many workloads in all; the stack does not run afterwards, and has run once since."""
    with _stack(folder) as stack:
        there = _count(stack)
        if total > there:
            began = time.monotonic()
            asyncio.run(growth_fill.fill(stack, total - there - 1))
            _say(f"{total - there} workloads made in {time.monotonic() - began:.0f} s")
    began = time.monotonic()
    with _stack(folder) as stack:
        with growth_fill.client(stack) as http:
            _first_line(http)
        _say(f"first start, everything read: {time.monotonic() - began:.1f} s")


def measure(folder: Path) -> dict[str, float]:
    """A column of the table."""
    began = time.monotonic()
    with _stack(folder) as stack:
        figures: dict[str, float] = {"workloads": _count(stack), "vulcan up, s": time.monotonic() - began}
        with growth_fill.client(stack) as http:
            _requests(stack, http, figures)
            _restarts(stack, http, figures)
        asyncio.run(_sizes(stack, figures))
        for name, pid in stack.pids().items():
            figures[f"memory of {name}, MiB"] = _resident(pid) / _MIB
    return figures


def _requests(stack: Stack, http: httpx.Client, figures: dict[str, float]) -> None:
    old, cursor = asyncio.run(_old_ones(stack))
    figures["submit to acknowledgement, ms"] = _median(
        lambda: http.post("/v1/workloads", json=growth_fill.BODY, params={"wait": 0})
    )
    figures["submit to first line, ms"] = _median(lambda: _first_line(http))
    workload = iter(old * 10)
    figures["one workload, ms"] = _median(lambda: http.get(f"/v1/workloads/{next(workload)}"))
    pages: dict[str, dict[str, Any]] = {
        "first page": {},
        "page from the middle": {"cursor": cursor},
        "page of a label": {"label": "batch=b000000"},
        "page of a state nobody is in": {"state": "killed"},
        "page of a reason nobody has": {"reason": "timed_out"},
        "text that nothing has": {"text": "no such text"},
    }
    for name, params in pages.items():
        figures[f"{name}, ms"] = _median(lambda params=params: http.get("/v1/workloads", params=params))  # type: ignore[misc]
    figures["statistics, ms"] = _median(lambda: http.get("/v1/stats"))
    figures["log page, ms"] = _median(lambda: http.get(f"/v1/workloads/{next(workload)}/logs"))
    figures["log search, ms"] = _median(
        lambda: http.get(f"/v1/workloads/{next(workload)}/logs", params={"search": "hello", "stream": "stdout"})
    )


def _restarts(stack: Stack, http: httpx.Client, figures: dict[str, float]) -> None:
    for service in ("scheduler", "logstore", "nats"):
        time.sleep(2.0)
        stack.kill(service)
        began = time.monotonic()
        answer = _completed(http)
        asyncio.run(_projected(stack, answer["id"]))
        figures[f"{service} killed, until a workload has ended and is listed, s"] = time.monotonic() - began


def _completed(http: httpx.Client) -> dict[str, Any]:
    """A workload's answer, however often it has to be asked for."""
    key = {"Idempotency-Key": f"growth-{time.time_ns()}"}
    while True:
        answer = http.post("/v1/workloads", json=growth_fill.BODY, params={"wait": 60}, headers=key)
        if answer.is_success and answer.json()["state"] == "completed":
            found: dict[str, Any] = answer.json()
            return found
        time.sleep(_REST_S)


async def _old_ones(stack: Stack) -> tuple[list[str], str]:
    """Some ids from all of history, and a cursor in its middle."""
    postgres = await growth_fill.database(stack.data)
    try:
        span = await postgres.fetchrow("SELECT min(submitted_at) AS first, max(submitted_at) AS last FROM workloads")
        assert span is not None
        first, length = span["first"], span["last"] - span["first"]
        found = [await postgres.fetchval(_AT, first + length * step / _OLD) for step in range(_OLD)]
    finally:
        await postgres.close(timeout=60)
    return found, encode_list_cursor(ListCursor(first + length / 2, found[_OLD // 2]))


async def _projected(stack: Stack, workload_id: str) -> None:
    postgres = await growth_fill.database(stack.data)
    try:
        ended = "SELECT state = 'completed' FROM workloads WHERE id = $1"
        while not await postgres.fetchval(ended, workload_id):  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.01)
    finally:
        await postgres.close(timeout=60)


async def _sizes(stack: Stack, figures: dict[str, float]) -> None:
    count = figures["workloads"]
    url = (stack.data / "nats" / "url").read_text().strip()
    async with await Bus.connect(NatsSettings(url=url), name="growth") as bus:
        for stream in (subjects.EVENTS_STREAM, subjects.LOGS_STREAM):
            state = await growth_fill.stream_state(bus, stream)
            figures[f"{stream}, bytes per workload"] = state["bytes"] / count
    files = (stack.data / "nats" / "jetstream").rglob("*")
    figures["JetStream's files, bytes per workload"] = sum(file.stat().st_blocks * 512 for file in files) / count
    postgres = await growth_fill.database(stack.data)
    try:
        for table in ("workloads", "log_lines"):
            size = await postgres.fetchval(
                "SELECT coalesce(sum(pg_total_relation_size(relid)), pg_total_relation_size($1::text::regclass)) "
                "FROM pg_partition_tree($1::text::regclass)",
                table,
            )
            figures[f"table {table}, bytes per workload"] = float(size) / count
    finally:
        await postgres.close(timeout=60)


def _first_line(http: httpx.Client) -> float:
    time.sleep(_REST_S)
    headers = {"Accept": "text/event-stream"}
    started, took = time.perf_counter(), 0.0
    with http.stream("POST", "/v1/workloads", json=growth_fill.BODY, headers=headers) as answer:
        for line in answer.iter_lines():
            if not took and line.startswith("data: ") and '"hello 42"' in line:
                took = time.perf_counter() - started
    assert took, "no output came"
    return took * 1000


def _median(action: Callable[[], httpx.Response | float]) -> float:
    taken = []
    give_up = time.monotonic() + 20.0
    for number in range(_SAMPLES + 2):
        started = time.perf_counter()
        result = action()
        took = result if isinstance(result, float) else (time.perf_counter() - started) * 1000
        if isinstance(result, httpx.Response):
            result.raise_for_status()
        if number >= 2:
            taken.append(took)
        if time.monotonic() > give_up and taken:
            break
    return statistics.median(taken)


def _count(stack: Stack) -> int:
    async def count() -> int:
        postgres = await growth_fill.database(stack.data)
        try:
            return int(await postgres.fetchval("SELECT count(*) FROM workloads"))
        finally:
            await postgres.close(timeout=60)

    return asyncio.run(count())


def _resident(pid: int) -> int:
    """Bytes that a process has in memory, those that it shares included."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) * 1024


def _stack(folder: Path) -> Stack:
    support.stack.START_TIMEOUT_S = _START_S
    return Stack.start(folder / "data", **_SETTINGS)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _columns(folder: Path) -> list[dict[str, float]]:
    file = folder / "growth.json"
    return msgspec.json.decode(file.read_bytes(), type=list[dict[str, float]]) if file.exists() else []


def _add(folder: Path, column: dict[str, float]) -> None:
    (folder / "growth.json").write_bytes(msgspec.json.encode([*_columns(folder), column]))


def show(folder: Path) -> None:
    """Print the table, in Markdown."""
    columns = _columns(folder)
    _say("| | " + " | ".join(f"{column['workloads']:,.0f}" for column in columns) + " |")
    _say("|---|" + "---:|" * len(columns))
    for name in [name for name in columns[-1] if name != "workloads"]:
        _say(f"| {name} | " + " | ".join(_number(column.get(name)) for column in columns) + " |")


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", nargs="?", choices=["fill", "measure", "show"])
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("total", nargs="?", type=int, default=0)
    options = parser.parse_args()
    if options.step is None:
        with tempfile.TemporaryDirectory(prefix="vulcan-growth-") as name:
            for size in SIZES:
                fill(Path(name), size)
                _add(Path(name), measure(Path(name)))
            show(Path(name))
        return
    if options.folder is None:
        parser.error("which folder?")
    options.folder.mkdir(parents=True, exist_ok=True)
    if options.step == "fill":
        fill(options.folder, options.total)
    elif options.step == "measure":
        _add(options.folder, measure(options.folder))
    show(options.folder) if options.step != "fill" else None


if __name__ == "__main__":
    main()
