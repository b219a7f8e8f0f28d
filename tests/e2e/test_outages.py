"""What the platform stands on goes away for a while: clear answers meanwhile, and afterwards all is whole by itself."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import asyncpg
import httpx
import pytest

from support.stack import Stack

NATS_AWAY_S = 30.0
POSTGRES_AWAY_S = 60.0
ANSWER_S = 15.0
"""Longer than the deadline of any call here (an append's is 10 s)."""
RUN_S = 180.0
TICKER = "for (let i = 1; i <= {n}; i++) {{ console.log('n' + i); await new Promise((r) => setTimeout(r, {ms})); }}"
FLOOD_LINES, FLOOD_CHARS, FLOOD_MB = 60_000, 1000, 60
FLOOD = f"const line = 'x'.repeat({FLOOD_CHARS}); for (let i = 0; i < {FLOOD_LINES}; i++) console.log(line);"


class Client:
    """Calls with a deadline each; none may end in a fault of the server that is not explained."""

    def __init__(self, stack: Stack) -> None:
        self._http = httpx.Client(
            base_url=stack.url, headers={"Authorization": f"Bearer {stack.key}"}, timeout=ANSWER_S, trust_env=False
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._http.close()

    def get(self, path: str) -> httpx.Response:
        return _explained(self._http.get(path))

    def submit(self, code: str, *, key: str | None = None, wait_s: int = 0) -> httpx.Response:
        body = {
            "source": {"type": "inline", "code": code},
            "runtime": "javascript",
            "timeout_s": RUN_S,
            "resources": {"output_mb": 2 * FLOOD_MB},
        }
        headers = {} if key is None else {"Idempotency-Key": key}
        return _explained(self._http.post("/v1/workloads", params={"wait": wait_s}, json=body, headers=headers))

    def begin(self, code: str) -> str:
        answer = self.submit(code)
        assert answer.status_code == 202, answer.text
        workload_id: str = answer.json()["id"]
        eventually(lambda: self.view(workload_id)["state"] != "pending")
        return workload_id

    def ticker(self, lines: int, interval_ms: int) -> str:
        return self.begin(TICKER.format(n=lines, ms=interval_ms))

    def view(self, workload_id: str) -> dict[str, Any]:
        answer = self.get(f"/v1/workloads/{workload_id}")
        assert answer.status_code == 200, answer.text
        view: dict[str, Any] = answer.json()
        return view

    def ended(self, workload_id: str) -> bool:
        answer = self.get(f"/v1/workloads/{workload_id}")
        return answer.status_code == 200 and answer.json()["state"] in ("completed", "failed", "killed")

    def works(self) -> bool:
        answer = self.submit("console.log('again')", wait_s=10)
        return answer.status_code == 200 and answer.json()["state"] == "completed"

    def ready(self) -> bool:
        return self.get("/readyz").status_code == 200

    def lists(self) -> bool:
        return self.get("/v1/workloads").status_code == 200

    def refused(self, key: str) -> None:
        """A submit that cannot be taken now says so."""
        answer = self.submit(big("kept"), key=key)
        assert (answer.status_code, answer.json()["code"]) == (503, "event_log_unavailable")

    def taken(self, key: str) -> str:
        """The same submit, again."""
        answer = self.submit(big("kept"), key=key)
        assert answer.status_code == 202, answer.text
        workload_id: str = answer.json()["id"]
        return workload_id

    def whole(self, *workload_ids: str) -> None:
        """They completed, once, and the lists show it."""
        for workload_id in workload_ids:
            eventually(lambda wanted=workload_id: self.ended(wanted))  # type: ignore[misc]
            assert self.view(workload_id)["state"] == "completed"
            eventually(lambda wanted=workload_id: self._listed(wanted) == "completed")  # type: ignore[misc]
            events = [event["type"] for event in self.get(f"/v1/workloads/{workload_id}/events").json()["items"]]
            assert [events.count(kind) for kind in ("submitted", "started", "completed")] == [1, 1, 1], events

    def _listed(self, workload_id: str) -> str | None:
        answer = self.get("/v1/workloads?limit=500")
        if answer.status_code != 200:
            return None
        return next((item["state"] for item in answer.json()["items"] if item["id"] == workload_id), None)


def big(text: str) -> str:
    """A program too large for the room that is left in a page of a full disk."""
    return f"console.log('{text}')" + " " * 8192


def _explained(answer: httpx.Response) -> httpx.Response:
    if answer.status_code >= 500 and answer.request.url.path != "/readyz":
        assert answer.status_code == 503, answer.text
        assert int(answer.headers["Retry-After"]) >= 1
        assert answer.json()["hint"], answer.text
    return answer


class Reader:
    """Follows a workload's lines as a browser does: comes back with the last id it saw, until `done`."""

    def __init__(self, stack: Stack, workload_id: str) -> None:
        self.seqs: list[int] = []
        self.texts: list[str] = []
        self.done = threading.Event()
        self._url = f"{stack.url}/v1/workloads/{workload_id}/logs"
        self._headers = {"Authorization": f"Bearer {stack.key}", "Accept": "text/event-stream"}
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def saw(self, lines: int) -> None:
        """Every line once, in order, to the end; what the platform says beside them is not counted."""
        assert self.done.wait(90), f"no end after {len(self.seqs)} lines"
        assert self.seqs == list(range(1, len(self.seqs) + 1))
        assert [text for text in self.texts if text.startswith("n")] == [f"n{i}" for i in range(1, lines + 1)]

    def _run(self) -> None:
        with httpx.Client(timeout=20.0, trust_env=False) as http:
            while not self.done.is_set():
                headers = self._headers | ({"Last-Event-ID": str(self.seqs[-1])} if self.seqs else {})
                try:
                    with http.stream("GET", self._url, headers=headers) as answer:
                        if answer.status_code == 200:
                            self._read(answer.iter_lines())
                except httpx.TransportError:
                    pass
                time.sleep(0.2)

    def _read(self, lines: Iterator[str]) -> None:
        name, number = "", 0
        for line in lines:
            field, _, value = line.partition(": ")
            if field == "event":
                name = value
            elif field == "id":
                number = int(value)
            elif field == "data" and name == "line":
                self.seqs.append(number)
                self.texts.append(httpx.Response(200, text=value).json()["text"])
            elif field == "data" and name == "done":
                self.done.set()


def eventually(condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "gave up waiting"
        time.sleep(0.2)


@contextmanager
def held(pids: list[int]) -> Iterator[None]:
    """Stopped, as by a machine that hangs."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def family(pid: int) -> list[int]:
    """A process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, children)]


def peak_mb(pid: int) -> float:
    """The most memory that a process ever held."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def in_order(stack: Stack, *said: str) -> None:
    """The console says these, one after the other, each once."""
    output = stack.output()
    at = 0
    for text in said:
        assert output.count(text) == 1, f"{text!r} is there {output.count(text)} times:\n{output}"
        assert output.index(text) >= at, output
        at = output.index(text)


@pytest.mark.timeout(240)
def test_nats_and_then_postgres_are_away(tmp_path: Path) -> None:
    with Stack.start(tmp_path / "data") as stack, Client(stack) as client:
        pids = stack.pids()
        first = client.ticker(60, 500)
        reader = Reader(stack, first)
        until = time.monotonic() + NATS_AWAY_S
        with held([stack.pid("nats")]):
            client.refused("once")
            assert client.get("/readyz").status_code == 503
            assert client.get(f"/v1/workloads/{first}").status_code == 503
            assert client.lists()
            time.sleep(max(0.0, until - time.monotonic()))
        eventually(client.works)
        eventually(client.ready)
        kept = client.taken("once")
        for service in ("gateway", "scheduler", "logstore", "executor-v8"):
            name = f"{service:<12}| "
            lines = [line for line in stack.output().splitlines() if line.startswith(name)]
            lost = [line for line in lines if "lost the connection to NATS" in line]
            found = [line for line in lines if "connected to NATS again" in line]
            assert (len(lost), len(found)) == (1, 1), "\n".join(lines)

        second = client.ticker(60, 500)
        other = Reader(stack, second)
        peaks = {service: peak_mb(stack.pid(service)) for service in ("gateway", "logstore", "executor-v8")}
        until = time.monotonic() + POSTGRES_AWAY_S
        with held(family(stack.pid("postgres"))):
            away = client.get("/v1/workloads")
            assert (away.status_code, away.json()["code"]) == (503, "projection_unavailable")
            assert client.works()
            assert client.ready()  # what names a workload works
            flood = client.begin(FLOOD)
            assert client.view(second)["state"] == "running"
            reader.saw(60)
            assert client.get(f"/v1/workloads/{second}/logs").status_code == 200
            late = Reader(stack, second)
            other.saw(60)
            late.saw(60)
            eventually(lambda: client.ended(flood))
            time.sleep(max(0.0, until - time.monotonic()))
        eventually(client.lists)
        client.whole(first, second, kept, flood)
        searched = f"/v1/workloads/{flood}/logs?after={FLOOD_LINES - 1}&search=xxx"
        eventually(lambda: len(client.get(searched).json()["items"]) == 1)
        for service, before in peaks.items():
            assert peak_mb(stack.pid(service)) - before < 1.5 * FLOOD_MB, service
        assert client.works()
        in_order(stack, "lists and searches answer 503: Postgres is away", "lists and searches work again")
        for projection in ("workloads", "log_lines"):
            named = [line for line in stack.output().splitlines() if f'"projection":"{projection}"' in line]
            assert sum("Postgres is away: no answer in time" in line for line in named) == 1, named
            assert "projection goes on" in named[-1]
        assert stack.pids() == pids  # nothing had to be started again


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A disk of its own for a data directory."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", str(folder)]
    mounted = subprocess.run(mount, capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@contextmanager
def full(disk: Path) -> Iterator[None]:
    """All room is taken, as by another program."""
    path = disk / "another"
    with path.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while file.write(b"x" * size):
                    pass
            except OSError:
                continue
    try:
        yield
    finally:
        path.unlink()


async def needs_room(socket: Path) -> None:
    """Write into Postgres until it has no room for its own log, which ends it."""
    connection = await asyncpg.connect(user="postgres", database="vulcan", host=str(socket), timeout=ANSWER_S)
    message = (
        "SELECT pg_logical_emit_message(true, 'test', repeat(md5(random()::text), 500000)) FROM generate_series(1, 9)"
    )
    try:
        with pytest.raises(asyncpg.PostgresError, match="No space left on device"):
            await connection.execute(message, timeout=60)
    finally:
        connection.terminate()


@pytest.mark.timeout(240)
def test_the_disk_is_full(tmp_path: Path) -> None:
    with small_disk(tmp_path / "data", "300m") as disk, Stack.start(disk) as stack, Client(stack) as client:
        pids = stack.pids()
        running = client.ticker(30, 500)
        reader = Reader(stack, running)
        with full(disk):
            client.refused("once")
            readiness = client.get("/readyz")
            assert (readiness.status_code, readiness.json()["checks"]["nats"]) == (503, "ok")
            assert "disk" in readiness.json()["checks"]["event_log"]
            assert not client.ended(running)
            assert client.lists()
            asyncio.run(needs_room(disk / "run"))
            eventually(lambda: not client.lists())
            client.refused("once")
        eventually(client.works)
        eventually(client.lists)
        assert client.ready()
        kept = client.taken("once")
        reader.saw(30)
        client.whole(running, kept)
        in_order(
            stack,
            f"nats        | takes nothing new: the disk of {disk}/nats is full, 0 MB left",
            "nats        | can go on with a new start",
        )
        assert "postgres    | PANIC:" in stack.output()
        after = stack.pids()
        assert {name for name, pid in pids.items() if after[name] != pid} == {"nats", "postgres"}
        stack.stop()
        stack.restart()
        with Client(stack) as again:
            assert again.works()


def test_a_start_on_a_full_disk_says_what_is_wrong(tmp_path: Path) -> None:
    with small_disk(tmp_path / "data", "64k") as disk, full(disk):
        ended = subprocess.run(
            [str(Path(sys.executable).with_name("vulcan")), "up"],
            env={**os.environ, "VULCAN_DATA_DIR": str(disk), "VULCAN_LISTEN": "127.0.0.1:0", "VULCAN_INSTALL": "0"},
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert ended.returncode == 1
    assert "No space left on device" in ended.stdout
    assert f"Make room on the disk of {disk}" in ended.stdout
    assert "Traceback" not in ended.stdout + ended.stderr
