"""More readers of one workload than are written to at once: each has each line once and in order, and then the end."""

import asyncio
import re
from typing import Final

import httpx

from support.gateway import Gateway, World, eventually, make_key, submit
from vulcan_gateway.live.fanout import FEW

READERS: Final = FEW + 36
LINES: Final = 1200
_IDS: Final = re.compile(rb"id: (\d+)\n")


async def read_whole(gateway: Gateway, token: str, path: str, *, stall_s: float = 0.0) -> tuple[list[int], bytes]:
    """The ids that came, and what the stream ended with; with `stall_s` the client does not read for a while."""
    host, port = gateway.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=4096)
    try:
        head = f"GET {path} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\nAuthorization: Bearer {token}\r\n"
        writer.write(f"{head}Connection: close\r\n\r\n".encode())
        received = bytearray(await reader.readuntil(b"retry: 1000\n\n"))
        await asyncio.sleep(stall_s)
        while piece := await reader.read(65536):
            received += piece
    finally:
        writer.close()
    return [int(number) for number in _IDS.findall(received)], bytes(received[-400:])


async def test_each_line_once_and_in_order(
    gateway: Gateway, api: httpx.AsyncClient, world: World, admin_token: str
) -> None:
    workload_id = await submit(api)
    path = f"/v1/workloads/{workload_id}/logs"
    await world.start("default", workload_id)
    writer = await world.writer("default", workload_id)
    reading = [asyncio.create_task(read_whole(gateway, admin_token, path)) for _ in range(READERS)]
    slow = asyncio.create_task(read_whole(gateway, admin_token, path, stall_s=1.0))
    late: list[asyncio.Task[tuple[list[int], bytes]]] = []
    for number in range(1, LINES + 1):
        await writer.write("stdout", f"{number}" + "x" * 600)
        if number % 100 == 0:
            await asyncio.sleep(0.03)
            late.append(asyncio.create_task(read_whole(gateway, admin_token, f"{path}?after={number - 50}")))
    await world.end("default", workload_id, last_line=await writer.close())
    async with asyncio.timeout(60):
        for task in [*reading, slow]:
            seen, end = await task
            assert seen == list(range(1, LINES + 1))
            assert b"event: done\n" in end
            assert end.endswith(b"\r\n0\r\n\r\n")
        for first, task in zip(range(51, LINES + 1, 100), late, strict=True):
            assert (await task)[0] == list(range(first, LINES + 1))


async def test_a_revoked_key_gets_no_further_line(
    gateway: Gateway, api: httpx.AsyncClient, world: World, admin_token: str
) -> None:
    workload_id = await submit(api)
    path = f"/v1/workloads/{workload_id}/logs"
    await world.start("default", workload_id)
    writer = await world.writer("default", workload_id)
    made = await make_key(api, role="reader")
    reading = asyncio.create_task(read_whole(gateway, made["key"], path))
    other = asyncio.create_task(read_whole(gateway, admin_token, path))

    async def open_streams() -> bool:
        text = (await api.get("/metrics")).text
        return re.search(r"^vulcan_gateway_streams_open(\{.*\})? 2\.0$", text, re.MULTILINE) is not None

    await eventually(open_streams)
    await writer.write("stdout", "before")
    await asyncio.sleep(0.3)
    assert (await api.delete(f"/v1/keys/{made['id']}")).status_code == 204
    await writer.write("stdout", "after")
    await world.end("default", workload_id, last_line=await writer.close())
    async with asyncio.timeout(20):
        seen, end = await reading
        assert seen == [1]
        assert b"event: done" not in end
        assert (await other)[0] == [1, 2]
