"""A history of any length in a data directory, made from one real workload: what is on NATS and in Postgres is what
that workload left there, with other ids, times and labels.

Messages go through a real nats-server into the real streams, fences included, but the server may write them to disk
later than Vulcan's does. Rows are copied into the tables, with the sequences that the messages then get.
"""

import asyncio
import re
import socket
import subprocess
import time
import urllib.parse
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

import asyncpg
import httpx
import msgspec

from support.stack import Stack
from vulcan_contracts import ids, subjects
from vulcan_contracts.logs import LogBatch, decode_batch, encode_batch
from vulcan_contracts.tenants import DEFAULT_TENANT
from vulcan_eventstore import jetstream
from vulcan_eventstore.connection import Bus, NatsSettings
from vulcan_local.datadir import DataDir
from vulcan_local.nats import binary
from vulcan_local.postgres import EmbeddedPostgres

LABEL: Final = "b000000"
"""Of the first workload; every thousand have one."""
BODY: Final[dict[str, Any]] = {
    "runtime": "javascript",
    "source": {"type": "inline", "code": "console.log('hello', 6 * 7);\nconsole.log('bye');\n"},
    "labels": {"batch": LABEL},
}
_STEP: Final = timedelta(milliseconds=50)
"""Between two submits."""
_CHUNK: Final = 200
_WINDOW: Final = 4
"""Chunks under way at once: the server drops what it cannot buffer."""
_TIMEOUT_S: Final = 120.0


class Template(NamedTuple):
    """What one workload left: its events as stored, its lines, its rows."""

    workload_id: str
    events: list[jetstream.Stored]
    batch: LogBatch
    row: dict[str, Any]
    lines: list[dict[str, Any]]
    events_end: int
    logs_end: int


class Made(NamedTuple):
    """One workload that is made up."""

    workload_id: str
    submitted_at: datetime
    label: str
    first_seq: int
    log_seq: int


def client(stack: Stack) -> httpx.Client:
    """Speaks to the stack as its administrator."""
    headers = {"Authorization": f"Bearer {stack.key}"}
    return httpx.Client(base_url=stack.url, headers=headers, timeout=60.0, trust_env=False)


async def database(data: Path) -> "asyncpg.Connection[asyncpg.Record]":
    """A connection to the embedded Postgres."""
    return await asyncpg.connect(EmbeddedPostgres(DataDir.open(data)).url, timeout=_TIMEOUT_S)


async def fill(stack: Stack, count: int) -> None:
    """Add so many workloads; the stack runs before and is stopped afterwards."""
    template = await _template(stack)
    postgres = await database(stack.data)
    try:
        await _copy(postgres, template, count)
    finally:
        await postgres.close(timeout=_TIMEOUT_S)
    stack.stop()
    with bare_nats(stack.data) as _:
        await asyncio.to_thread(_send_all, stack.data, template, count)
        await _check(stack.data, template, count)


async def _template(stack: Stack) -> Template:
    with client(stack) as http:
        answer = http.post("/v1/workloads", json=BODY, params={"wait": 30}).raise_for_status().json()
    workload_id = answer["id"]
    assert answer["state"] == "completed", answer
    postgres = await database(stack.data)
    try:
        row = None
        while row is None or row["state"] != "completed":
            row = await postgres.fetchrow("SELECT * FROM workloads WHERE id = $1", workload_id)
        lines: list[Any] = []
        while len(lines) < 2:
            lines = await postgres.fetch("SELECT * FROM log_lines WHERE workload_id = $1 ORDER BY seq", workload_id)
    finally:
        await postgres.close(timeout=_TIMEOUT_S)
    async with await _bus(stack.data) as bus:
        events = await jetstream.direct_many(
            bus, subjects.EVENTS_STREAM, subjects.workload_events(DEFAULT_TENANT, workload_id)
        )
        batches = await jetstream.direct_many(bus, subjects.LOGS_STREAM, subjects.log(DEFAULT_TENANT, workload_id))
        assert len(events) == 4, events
        parts = [decode_batch(batch.data) for batch in batches]
        batch = msgspec.structs.replace(parts[0], lines=[line for part in parts for line in part.lines])
        ends = [await last_seq(bus, name) for name in (subjects.EVENTS_STREAM, subjects.LOGS_STREAM)]
    return Template(workload_id, events, batch, dict(row), [dict(line) for line in lines], ends[0], ends[1])


async def _bus(data: Path) -> Bus:
    return await Bus.connect(NatsSettings(url=(data / "nats" / "url").read_text().strip()), name="growth")


async def last_seq(bus: Bus, stream: str) -> int:
    """The newest message's sequence."""
    return (await stream_state(bus, stream))["last_seq"]


async def stream_state(bus: Bus, stream: str) -> dict[str, int]:
    """What the server says of a stream."""
    state: dict[str, int] = msgspec.json.decode(await jetstream.call(bus, f"STREAM.INFO.{stream}"))["state"]
    return state


def _made(template: Template, count: int) -> Iterator[Made]:
    """The last of them was submitted just before the template."""
    for number in range(count):
        at = template.row["submitted_at"] - _STEP * (count - number)
        entropy = (number * 0x9E3779B97F4A7C15_F39CC060) & ((1 << 80) - 1)
        workload_id = f"wl_{ids._base32((int(at.timestamp() * 1000) << 80) | entropy)}"
        label = f"b{number // 1000:06}"
        yield Made(
            workload_id,
            at,
            label,
            template.events_end + 1 + number * len(template.events),
            template.logs_end + 1 + number,
        )


async def _copy(postgres: "asyncpg.Connection[asyncpg.Record]", template: Template, count: int) -> None:
    """Rows first: what they say of the streams becomes true afterwards."""
    row = template.row
    times = [name for name, value in row.items() if isinstance(value, datetime)]

    def rows() -> Iterator[tuple[Any, ...]]:
        for made in _made(template, count):
            moved = made.submitted_at - row["submitted_at"]
            new = dict(row, id=made.workload_id, labels=msgspec.json.encode({"batch": made.label}).decode())
            new["seq"] = made.first_seq + len(template.events) - 1
            for name in times:
                new[name] = row[name] + moved
            yield tuple(new.values())

    def lines() -> Iterator[tuple[Any, ...]]:
        for made in _made(template, count):
            moved = made.submitted_at - row["submitted_at"]
            for line in template.lines:
                yield tuple(dict(line, workload_id=made.workload_id, time=line["time"] + moved).values())

    ends = {
        "workloads": template.events_end + count * len(template.events),
        "log_lines": template.logs_end + count,
    }
    # A day's partition is enough: the time of a line says when it was printed, not how long it is kept.
    assert all(isinstance(line["expires_on"], date) for line in template.lines)
    async with postgres.transaction():
        await postgres.copy_records_to_table("workloads", records=rows(), columns=list(row), timeout=900)
        await postgres.copy_records_to_table("log_lines", records=lines(), columns=list(template.lines[0]), timeout=900)
        for name, seq in ends.items():
            await postgres.execute("UPDATE projection_positions SET seq = $2 WHERE name = $1", name, seq)
    await postgres.execute("VACUUM ANALYZE", timeout=900)


class bare_nats:  # noqa: N801  - a context manager
    """The data directory's nats-server by itself, which syncs its files when it likes. `ready_s`: until it answered."""

    def __init__(self, data: Path) -> None:
        config = (data / "nats" / "nats-server.conf").read_text()
        self._config = data / "nats" / "fill.conf"
        self._config.write_text(config.replace("sync_interval: always", 'sync_interval: "2m"'))
        self._data = data
        self.ready_s = 0.0

    def __enter__(self) -> "bare_nats":
        started = time.monotonic()
        self._process = subprocess.Popen([str(binary()), "-c", str(self._config)], stderr=subprocess.DEVNULL)
        while True:
            try:
                connection = _connect(self._data)
                if b'"jetstream":true' in connection.recv(65_536):
                    connection.close()
                    break
                connection.close()
            except OSError:
                assert self._process.poll() is None, "nats-server ended"
            assert time.monotonic() < started + _TIMEOUT_S
            time.sleep(0.02)
        self.ready_s = time.monotonic() - started
        return self

    def __exit__(self, *_error: object) -> None:
        self._process.terminate()
        self._process.wait(_TIMEOUT_S)
        self._config.unlink()


def _connect(data: Path) -> socket.socket:
    url = urllib.parse.urlsplit((data / "nats" / "url").read_text().strip())
    return socket.create_connection((url.hostname, url.port or 0), timeout=_TIMEOUT_S)


class _Publisher:
    """Writes messages as fast as the server stores them; asks for the acknowledgement of a few."""

    def __init__(self, data: Path) -> None:
        url = urllib.parse.urlsplit((data / "nats" / "url").read_text().strip())
        self._socket = _connect(data)
        self._received = b""
        self._acknowledged = 0
        login = {"user": url.username, "pass": url.password, "verbose": False, "headers": True, "protocol": 1}
        self._socket.sendall(b"CONNECT %b\r\nSUB _INBOX.fill 1\r\n" % msgspec.json.encode(login))

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def await_acknowledged(self, count: int) -> None:
        """Until the server has acknowledged so many."""
        while self._acknowledged < count:
            data = self._socket.recv(65_536)
            assert data, "nats-server closed the connection"
            whole, end, self._received = (self._received + data).rpartition(b"\r\n")
            lines = (whole + end).split(b"\r\n")
            assert not any(b'"error"' in line or line.startswith(b"-ERR") for line in lines), whole
            self._acknowledged += sum(line.startswith(b'{"stream"') for line in lines)
            if b"PING" in lines:
                self._socket.sendall(b"PONG\r\n")

    def close(self) -> None:
        self._socket.close()


def _send_all(data: Path, template: Template, count: int) -> None:
    publisher = _Publisher(data)
    try:
        parts: list[bytes] = []
        chunks = 0
        for number, made in enumerate(_made(template, count), start=1):
            last = number % _CHUNK == 0 or number == count
            parts += _messages(template, made, asked=last)
            if last:
                publisher.send(b"".join(parts))
                parts, chunks = [], chunks + 1
                publisher.await_acknowledged(2 * (chunks - _WINDOW))
        publisher.await_acknowledged(2 * chunks)
    finally:
        publisher.close()


def _messages(template: Template, made: Made, *, asked: bool) -> Iterator[bytes]:
    """Its events and its batch of lines, as the protocol has them."""
    fence = subjects.workload_events(DEFAULT_TENANT, made.workload_id)
    moved = made.submitted_at - template.row["submitted_at"]
    for number, (stored, pattern) in enumerate(zip(template.events, _patterns(template), strict=True)):
        event_id = ids.new_event_id()
        said = stored.headers.get("traceparent")
        headers = {
            jetstream.MSG_ID: event_id,
            jetstream.EXPECTED_SEQ: str(made.first_seq + number - 1 if number else 0),
            jetstream.EXPECTED_SEQ_SUBJECT: fence,
            **({"traceparent": said} if said else {}),
        }
        at = (pattern.time + moved).isoformat().replace("+00:00", "Z").encode()
        new = {
            pattern.event_id: event_id.encode(),
            template.workload_id.encode(): made.workload_id.encode(),
            pattern.time_text: at,
            LABEL.encode(): made.label.encode(),
        }
        payload = b"".join([new.get(part, part) for part in pattern.parts])
        subject = stored.subject.replace(template.workload_id, made.workload_id)
        yield _hpub(subject, headers, payload, asked=asked and number == len(template.events) - 1)
    batch = template.batch
    lines = [msgspec.structs.replace(line, time=line.time + moved) for line in batch.lines]
    payload = encode_batch(msgspec.structs.replace(batch, workload_id=made.workload_id, lines=lines))
    headers = {jetstream.MSG_ID: f"{made.workload_id}.1.1.{ids.ulid()}", jetstream.EXPECTED_SEQ: "0"}
    yield _hpub(subjects.log(DEFAULT_TENANT, made.workload_id), headers, payload, asked=asked)


class _Pattern(NamedTuple):
    parts: list[bytes]
    event_id: bytes
    time_text: bytes
    time: datetime


_found: dict[str, list[_Pattern]] = {}


def _patterns(template: Template) -> list[_Pattern]:
    if template.workload_id not in _found:
        _found[template.workload_id] = [_pattern(template, stored.data) for stored in template.events]
    return _found[template.workload_id]


def _pattern(template: Template, data: bytes) -> _Pattern:
    """The event, cut where another workload's differs."""
    envelope = msgspec.json.decode(data)
    event_id, text = envelope["id"].encode(), envelope["time"].encode()
    varying = b"|".join(map(re.escape, [event_id, template.workload_id.encode(), text, LABEL.encode()]))
    at = datetime.fromisoformat(text.decode()).astimezone(UTC)
    return _Pattern(re.split(b"(%b)" % varying, data), event_id, text, at)


def _hpub(subject: str, headers: dict[str, str], payload: bytes, *, asked: bool) -> bytes:
    head = "NATS/1.0\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items()) + "\r\n"
    reply = "_INBOX.fill " if asked else ""
    return f"HPUB {subject} {reply}{len(head)} {len(head) + len(payload)}\r\n{head}".encode() + payload + b"\r\n"


async def _check(data: Path, template: Template, count: int) -> None:
    async with await _bus(data) as bus:
        assert await last_seq(bus, subjects.EVENTS_STREAM) == template.events_end + count * len(template.events)
        assert await last_seq(bus, subjects.LOGS_STREAM) == template.logs_end + count
