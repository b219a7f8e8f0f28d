"""The service as a process: how it starts, stops, and says why it cannot."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import httpx

from support.gateway import eventually
from support.nats import NatsServer, free_port
from vulcan_contracts.tenants import new_token


async def start(nats_server: NatsServer, key_file: Path, port: int, **changes: str) -> asyncio.subprocess.Process:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("VULCAN_")} | {
        "VULCAN_NATS_URL": nats_server.url,
        "VULCAN_DATABASE_URL": "postgresql://nobody@/nothing?host=/nonexistent",
        "VULCAN_LISTEN": f"127.0.0.1:{port}",
        "VULCAN_BOOTSTRAP_KEY_FILE": str(key_file),
        "VULCAN_LOG_FORMAT": "json",
    }
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "vulcan_gateway", env=environment | changes, stderr=asyncio.subprocess.PIPE
    )


async def end(process: asyncio.subprocess.Process) -> tuple[int | None, str]:
    async with asyncio.timeout(30):
        _, said = await process.communicate()
    return process.returncode, said.decode()


async def test_it_stops_in_order_with_a_stream_open(nats_server: NatsServer, tmp_path: Path) -> None:
    key, port = tmp_path / "key", free_port()
    key.write_text(new_token())
    process = await start(nats_server, key, port)
    try:
        headers = {"Authorization": f"Bearer {key.read_text()}"}
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=10) as client:

            async def ready() -> bool:
                try:
                    return (await client.get("/readyz")).status_code == 200
                except httpx.TransportError:
                    return False

            await eventually(ready, 30.0)
            async with client.stream("GET", "/v1/events", headers={"Accept": "text/event-stream"}) as stream:
                assert stream.status_code == 200
                process.send_signal(signal.SIGTERM)
                assert [piece async for piece in stream.aiter_bytes()]
        code, said = await end(process)
        assert code == 0, said
        assert key.read_text() not in said
        assert '"level": "error"' not in said
        assert '"level":"error"' not in said
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_it_says_what_is_wrong(nats_server: NatsServer, tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    code, said = await end(await start(nats_server, missing, free_port(), VULCAN_LIMITS_STREAMS="many"))
    assert (code, "VULCAN_LIMITS_STREAMS" in said) == (2, True), said
    code, said = await end(await start(nats_server, missing, free_port()))
    assert code == 1
    assert "bootstrap key" in said
    assert "Traceback" not in said
