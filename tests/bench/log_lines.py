"""Log lines per second, from a program that prints them to rows in Postgres, against a raw COPY of the same rows.

Ours: a V8 program prints as fast as it can; the clock runs from the request until the last line is in the table, over
sandbox, LOGS and logstore. Theirs: one binary COPY of rows that lie ready in memory, encoded, into the same table of
the same server, with the same partition and the same index, and just as little waiting for the disk.
"""

import asyncio
import struct
import time
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from typing import Final

import asyncpg
import httpx

from bench.harness import Figure, Options, compare, interleave
from support.stack import Stack
from vulcan_contracts.ids import new_workload_id
from vulcan_contracts.tenants import DEFAULT_TENANT
from vulcan_local.datadir import DataDir
from vulcan_local.postgres import EmbeddedPostgres

LINES: Final = 50_000
_CHUNK: Final = 1000
CODE: Final = f"""
const out = new TextEncoder();
for (let first = 1; first <= {LINES}; first += {_CHUNK}) {{
  let text = "";
  for (let n = first; n < first + {_CHUNK}; n++) {{
    text += `line ${{n}}: the quick brown fox jumps over the lazy dog, 42 times\\n`;
  }}
  const bytes = out.encode(text);
  for (let sent = 0; sent < bytes.length;) sent += Deno.stdout.writeSync(bytes.subarray(sent));
}}
"""
_TIMEOUT_S: Final = 60.0
_POLL_S: Final = 0.005
_COPY_PIECE: Final = 256 * 1024
_LAST: Final = "SELECT seq FROM log_lines WHERE tenant = $1 AND workload_id = $2 ORDER BY seq DESC LIMIT 1"
_COUNT: Final = "SELECT count(*) FROM log_lines WHERE tenant = $1 AND workload_id = $2"
_ROWS: Final = "SELECT expires_on, tenant, seq, time, stream, text, partial FROM log_lines WHERE workload_id = $1"
_COLUMNS: Final = ("expires_on", "tenant", "workload_id", "seq", "time", "stream", "text", "partial")
_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)


def figures(options: Options) -> list[Figure]:
    """The median of both arms."""
    with Stack.start(options.folder / "data") as stack, asyncio.Runner() as runner:
        database = runner.run(asyncpg.connect(EmbeddedPostgres(DataDir.open(stack.data)).url))
        try:
            first = runner.run(_printed(stack, database))[0]
            rows = runner.run(database.fetch(_ROWS, first))
            taken = interleave(
                lambda: LINES / runner.run(_printed(stack, database))[1],
                lambda: LINES / runner.run(_copied(database, rows)),
                samples=options.samples,
            )
        finally:
            runner.run(database.close(timeout=_TIMEOUT_S))
    what = "log lines from stdout to Postgres, against raw COPY into the same table"
    return [compare(taken, identity="log-lines", what=what, unit="/s", goal=0.5, better="higher", quantile=50)]


async def _printed(stack: Stack, database: "asyncpg.Connection[asyncpg.Record]") -> tuple[str, float]:
    """The workload, and the seconds until its last line was in the table."""
    body = {"runtime": "javascript", "source": {"type": "inline", "code": CODE}}
    headers = {"Authorization": f"Bearer {stack.key}"}
    async with httpx.AsyncClient(base_url=stack.url, headers=headers) as client, asyncio.timeout(_TIMEOUT_S):
        started = time.perf_counter()
        submitted = await client.post("/v1/workloads", json=body, params={"wait": 0})
        workload_id: str = submitted.raise_for_status().json()["id"]
        while await database.fetchval(_LAST, DEFAULT_TENANT, workload_id) != LINES:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(_POLL_S)
        took = time.perf_counter() - started
    assert await database.fetchval(_COUNT, DEFAULT_TENANT, workload_id) == LINES
    return workload_id, took


async def _copied(database: "asyncpg.Connection[asyncpg.Record]", rows: "list[asyncpg.Record]") -> float:
    """The seconds that one COPY of the rows, as those of another workload, takes."""
    encoded = _encoded(rows, new_workload_id())

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(encoded), _COPY_PIECE):
            yield encoded[start : start + _COPY_PIECE]

    started = time.perf_counter()
    async with database.transaction():
        await database.execute("SET LOCAL synchronous_commit = off")
        await database.copy_to_table("log_lines", source=pieces(), columns=_COLUMNS, format="binary")
    return time.perf_counter() - started


def _encoded(rows: "list[asyncpg.Record]", workload_id: str) -> bytes:
    """Rows in the binary form of COPY."""
    parts = [b"PGCOPY\n\xff\r\n\0", struct.pack(">ii", 0, 0)]
    for expires_on, tenant, seq, at, stream, text, partial in rows:
        fields = (
            struct.pack(">i", (expires_on - date(2000, 1, 1)).days),
            tenant.encode(),
            workload_id.encode(),
            struct.pack(">q", seq),
            struct.pack(">q", round((at - _EPOCH).total_seconds() * 1_000_000)),
            stream.encode(),
            text.encode(),
            struct.pack("?", partial),
        )
        parts.append(struct.pack(">h", len(fields)))
        parts += [struct.pack(">i", len(field)) + field for field in fields]
    parts.append(struct.pack(">h", -1))
    return b"".join(parts)
