"""Logs and events: pages, downloads, and streams that are resumed, outlive restarts and miss nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import httpx
import msgspec
import pytest

from support.gateway import Gateway, World, eventually, submit
from support.nats import NatsServer
from vulcan_contracts.logs import Stream
from vulcan_gateway.settings import GatewaySettings

SSE = {"Accept": "text/event-stream"}


class Message(NamedTuple):
    id: int | None
    event: str
    data: Any


async def messages(answer: httpx.Response) -> AsyncIterator[Message]:
    event_id, event, data = None, "message", ""
    async for line in answer.aiter_lines():
        name, _, value = line.partition(": ")
        if name == "id":
            event_id = int(value)
        elif name == "event":
            event = value
        elif name == "data":
            data = value
        elif not line and data:
            yield Message(event_id, event, msgspec.json.decode(data))
            event_id, event, data = None, "message", ""


@asynccontextmanager
async def stream(api: httpx.AsyncClient, path: str, **options: Any) -> AsyncIterator[AsyncIterator[Message]]:
    headers = SSE | options.pop("headers", {})
    async with api.stream("GET", path, headers=headers, **options) as answer:
        assert answer.status_code == 200, await answer.aread()
        assert answer.headers["content-type"] == "text/event-stream"
        yield messages(answer)


async def all_of(api: httpx.AsyncClient, path: str, **options: Any) -> list[Message]:
    async with asyncio.timeout(30), stream(api, path, **options) as found:
        return [message async for message in found]


def numbered(count: int) -> list[tuple[Stream, str]]:
    return [("stderr" if i % 10 == 0 else "stdout", f"line {i}") for i in range(1, count + 1)]


async def test_pages(api: httpx.AsyncClient, world: World) -> None:
    workload_id = await submit(api)
    await world.run("default", workload_id, numbered(250))
    found, cursor = [], None
    for _ in range(10):
        page = (await api.get(f"/v1/workloads/{workload_id}/logs", params={"after": cursor} if cursor else {})).json()
        found += page["items"]
        cursor = page["next_cursor"]
        if not page["has_more"]:
            break
    assert cursor is None
    assert [line["seq"] for line in found] == list(range(1, 251))
    assert [line["text"] for line in found] == [text for _, text in numbered(250)]


async def test_filters(api: httpx.AsyncClient, world: World) -> None:
    workload_id = await submit(api)
    await world.run("default", workload_id, numbered(250))
    path = f"/v1/workloads/{workload_id}/logs"

    async def seqs(**params: Any) -> list[int]:
        answer = await api.get(path, params=params)
        assert answer.status_code == 200, answer.text
        return [line["seq"] for line in answer.json()["items"]]

    assert await seqs(stream="stderr", limit=3) == [10, 20, 30]
    assert await seqs(search="e 24", limit=100) == [24, *range(240, 250)]
    assert await seqs(tail=2) == [249, 250]
    assert await seqs(tail=0) == []
    assert await seqs(since="2999-01-01T00:00:00Z") == []
    assert await seqs(after=248) == [249, 250]
    assert await seqs(after=9999) == []


async def test_a_running_workload_can_be_polled(api: httpx.AsyncClient, world: World) -> None:
    workload_id = await submit(api)
    path = f"/v1/workloads/{workload_id}/logs"
    empty = (await api.get(path)).json()
    assert (empty["items"], empty["next_cursor"], empty["has_more"]) == ([], "0", False)
    await world.start("default", workload_id)
    writer = await world.writer("default", workload_id)
    await writer.write("stdout", "first")

    async def first_page() -> Any:
        page = (await api.get(path)).json()
        return page if page["items"] else None

    page = await eventually(first_page)
    assert (page["next_cursor"], page["has_more"]) == ("1", False)
    await writer.write("stdout", "second")
    await writer.close()
    assert [line["text"] for line in (await api.get(path, params={"after": "1"})).json()["items"]] == ["second"]


async def test_download(api: httpx.AsyncClient, world: World) -> None:
    workload_id = await submit(api)
    await world.run("default", workload_id, numbered(5000))
    answer = await api.get(f"/v1/workloads/{workload_id}/logs", params={"download": 1})
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.headers["content-disposition"].startswith("attachment;")
    assert answer.text == "".join(f"{text}\n" for _, text in numbered(5000))


async def test_a_stream_of_what_is_over(api: httpx.AsyncClient, world: World) -> None:
    workload_id = await submit(api)
    await world.run("default", workload_id, numbered(2500), reason="exit_nonzero", exit_code=3, message="no")
    path = f"/v1/workloads/{workload_id}/logs"
    found = await all_of(api, path)
    assert [m.id for m in found[:-1]] == list(range(1, 2501))
    assert {m.event for m in found[:-1]} == {"line"}
    done = found[-1]
    assert (done.event, done.data["state"], done.data["reason"], done.data["exit_code"], done.data["last_line"]) == (
        "done",
        "failed",
        "exit_nonzero",
        3,
        2500,
    )
    rest = await all_of(api, path, headers={"Last-Event-ID": "2498"})
    assert [(m.event, m.id) for m in rest] == [("line", 2499), ("line", 2500), ("done", None)]
    assert [m.id for m in await all_of(api, path, params={"stream": "stderr", "after": "2470"})] == [
        2480,
        2490,
        2500,
        None,
    ]
    assert [m.event for m in await all_of(api, path, params={"after": "99999"})] == ["done"]


async def test_a_stream_follows_to_the_end(api: httpx.AsyncClient, world: World) -> None:
    workload_id = await submit(api)
    reading = [
        asyncio.create_task(all_of(api, f"/v1/workloads/{workload_id}/logs", params=params))
        for params in ({}, {"after": "100"}, {"stream": "stderr"}, {"search": "line 7"})
    ]
    await asyncio.sleep(0.3)
    await world.start("default", workload_id)
    writer = await world.writer("default", workload_id)
    for stream_name, text in numbered(3000):
        await writer.write(stream_name, text)
        if text.endswith("00"):
            await asyncio.sleep(0.01)
    await world.end("default", workload_id, last_line=await writer.close())
    everything, later, errors, searched = [[m.id for m in await task] for task in reading]
    assert everything == [*range(1, 3001), None]
    assert later == [*range(101, 3001), None]
    assert errors == [*range(10, 3001, 10), None]
    assert searched == [i for i in range(1, 3001) if "line 7" in f"line {i}"] + [None]


async def test_a_stream_goes_on_behind_a_restart_of_the_gateway(
    gateway: Gateway, api: httpx.AsyncClient, world: World, admin_token: str
) -> None:
    workload_id = await submit(api)
    await world.start("default", workload_id)
    writer = await world.writer("default", workload_id)
    seen: list[int] = []
    path = f"/v1/workloads/{workload_id}/logs"

    async def read_until_done() -> None:
        while True:
            headers = {"Last-Event-ID": str(seen[-1])} if seen else {}
            try:
                async with gateway.client(admin_token) as client, stream(client, path, headers=headers) as found:
                    async for message in found:
                        if message.event == "done":
                            return
                        seen.append(message.id or 0)
            except httpx.TransportError:
                await asyncio.sleep(0.05)

    reading = asyncio.create_task(read_until_done())
    for i in range(1, 1001):
        await writer.write("stdout", f"{i}")
        if i in (300, 600):
            await asyncio.sleep(0.2)
            await gateway.restart()
    await world.end("default", workload_id, last_line=await writer.close())
    async with asyncio.timeout(30):
        await reading
    assert seen == list(range(1, 1001))


async def test_a_stream_outlives_a_restart_of_nats(
    api: httpx.AsyncClient, world: World, nats_server: NatsServer
) -> None:
    workload_id = await submit(api)
    reading = asyncio.create_task(all_of(api, f"/v1/workloads/{workload_id}/logs"))
    await world.start("default", workload_id)
    writer = await world.writer("default", workload_id)
    for i in range(1, 601):
        await writer.write("stdout", f"{i}")
        if i in (200, 400):
            await asyncio.sleep(0.1)
            await nats_server.bounce(0.1)
    await world.end("default", workload_id, last_line=await writer.close())
    assert [m.id for m in await reading] == [*range(1, 601), None]


async def test_a_killed_workload_ends_its_stream(api: httpx.AsyncClient, world: World) -> None:
    workload_id = await submit(api)
    reading = asyncio.create_task(all_of(api, f"/v1/workloads/{workload_id}/logs"))
    await asyncio.sleep(0.2)
    await api.post(f"/v1/workloads/{workload_id}/kill")
    (done,) = await reading
    assert (done.event, done.data["state"]) == ("done", "killed")


async def test_keep_alives(api: httpx.AsyncClient, world: World) -> None:
    workload_id = await submit(api)
    async with api.stream("GET", f"/v1/workloads/{workload_id}/logs", headers=SSE) as answer:
        lines = answer.aiter_lines()
        async with asyncio.timeout(10):
            async for line in lines:
                if line == ": keep-alive":
                    break
    assert answer.headers["cache-control"] == "no-store"


async def test_a_workloads_events(api: httpx.AsyncClient, world: World) -> None:
    workload_id = await submit(api)
    path = f"/v1/workloads/{workload_id}/events"
    reading = asyncio.create_task(all_of(api, path))
    await asyncio.sleep(0.2)
    await world.run("default", workload_id)
    types = ["submitted", "scheduled", "started", "completed"]
    streamed = await reading
    assert [m.event for m in streamed] == [*types, "done"]
    page = (await api.get(path)).json()
    assert [item["type"] for item in page["items"]] == types
    assert [item["version"] for item in page["items"]] == [1, 2, 3, 4]
    assert [m.data for m in streamed[:-1]] == page["items"]
    rest = await all_of(api, path, headers={"Last-Event-ID": str(page["items"][1]["seq"])})
    assert [m.event for m in rest] == ["started", "completed", "done"]
    first = (await api.get(path, params={"limit": 3})).json()
    assert (len(first["items"]), first["has_more"]) == (3, True)
    second = (await api.get(path, params={"after": first["next_cursor"]})).json()
    assert [item["type"] for item in second["items"]] == ["completed"]


async def test_all_events_of_a_tenant(api: httpx.AsyncClient, world: World) -> None:
    one = await submit(api)
    only = {"type": ["completed", "killed"]}
    async with asyncio.timeout(20), stream(api, "/v1/events") as live, stream(api, "/v1/events", params=only) as ends:
        await asyncio.sleep(0.2)
        await world.run("default", one)
        two = await submit(api)
        await api.post(f"/v1/workloads/{two}/kill")
        assert [(m.event, m.data["workload_id"]) for m in [await anext(live) for _ in range(5)]] == [
            ("scheduled", one),
            ("started", one),
            ("completed", one),
            ("submitted", two),
            ("killed", two),
        ]
        assert [m.event for m in [await anext(ends) for _ in range(2)]] == ["completed", "killed"]
    page = (await api.get("/v1/events")).json()
    assert [item["type"] for item in page["items"]] == [
        "submitted",
        "scheduled",
        "started",
        "completed",
        "submitted",
        "killed",
    ]
    killed = (await api.get("/v1/events", params={"type": "killed"})).json()["items"]
    assert [item["workload_id"] for item in killed] == [two]
    async with (
        asyncio.timeout(20),
        stream(api, "/v1/events", headers={"Last-Event-ID": str(page["items"][3]["seq"])}) as rest,
    ):
        assert [m.event for m in [await anext(rest) for _ in range(2)]] == ["submitted", "killed"]


async def test_events_outlive_a_restart_of_nats(api: httpx.AsyncClient, world: World, nats_server: NatsServer) -> None:
    async with asyncio.timeout(40), stream(api, "/v1/events") as live:
        one = await submit(api)
        assert (await anext(live)).data["workload_id"] == one
        await nats_server.bounce(0.1)
        await world.run("default", one)
        assert [(await anext(live)).event for _ in range(3)] == ["scheduled", "started", "completed"]


async def test_pages_of_long_lines_are_bounded(api: httpx.AsyncClient, world: World) -> None:
    workload_id = await submit(api)
    await world.start("default", workload_id)
    last = await world.print("default", workload_id, [("stdout", f"{n} " + "x" * 16_000) for n in range(1, 301)])
    await world.end("default", workload_id, last_line=last)
    path = f"/v1/workloads/{workload_id}/logs"
    seen: list[int] = []
    cursor: str | None = "0"
    while cursor is not None:
        page = (await api.get(path, params={"after": cursor, "limit": 1000})).json()
        assert 0 < len(page["items"]) < 200
        assert page["has_more"] == (page["next_cursor"] is not None)
        seen += [item["seq"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert seen == [*range(1, 301)]
    assert [message.id for message in await all_of(api, path)] == [*range(1, 301), None]
    assert len((await api.get(path, params={"download": 1})).text.splitlines()) == 300


@pytest.mark.parametrize("after", ["", "x", "-1", "1.5", "9" * 30, "٣"])
async def test_wrong_positions(api: httpx.AsyncClient, world: World, after: str) -> None:
    workload_id = await submit(api)
    for path in (f"/v1/workloads/{workload_id}/logs", f"/v1/workloads/{workload_id}/events", "/v1/events"):
        answer = await api.get(path, params={"after": after})
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_cursor"), path
        if not after:
            continue  # an empty Last-Event-ID is what a client sends that has seen nothing
        answer = await api.get(path, headers=[(b"accept", b"text/event-stream"), (b"last-event-id", after.encode())])
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_cursor"), path


async def test_a_slow_reader_catches_up_from_history(settings: GatewaySettings, world: World, admin_token: str) -> None:
    limits = msgspec.structs.replace(settings.limits, reader_buffer_bytes=100_000)
    gateway = Gateway(msgspec.structs.replace(settings, limits=limits, listen="127.0.0.1:0"))
    await gateway.start()
    try:
        await world.beat()
        async with gateway.client(admin_token) as api:

            async def known() -> bool:
                return bool((await api.get("/v1/nodes")).json()["items"])

            await eventually(known)
            workload_id = await submit(api)
            await world.start("default", workload_id)
            writer = await world.writer("default", workload_id)
            async with asyncio.timeout(60), stream(api, f"/v1/workloads/{workload_id}/logs") as found:
                for i in range(1, 15_001):
                    await writer.write("stdout", f"{i} " + "x" * 600)
                await world.end("default", workload_id, last_line=await writer.close())
                seen = [message.id async for message in found]
            assert seen == [*range(1, 15_001), None]
    finally:
        await gateway.stop()
