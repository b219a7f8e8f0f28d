"""Submitting with `Accept: text/event-stream`: one call from the order to the last line."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec

from support.gateway import INLINE, World
from vulcan_contracts.logs import Stream

SSE = {"Accept": "text/event-stream"}
LINES: list[tuple[Stream, str]] = [("stdout", f"line {number}") for number in range(1, 301)]


async def events(answer: httpx.Response) -> AsyncIterator[tuple[str, str | None, Any]]:
    """Name, id and data of each."""
    name, event_id = "", None
    async for line in answer.aiter_lines():
        key, _, value = line.partition(": ")
        if key == "event":
            name = value
        elif key == "id":
            event_id = value
        elif key == "data":
            yield name, event_id, msgspec.json.decode(value)
            event_id = None


async def watch(api: httpx.AsyncClient, world: World, *, key: str) -> list[tuple[str, str | None, Any]]:
    found: list[tuple[str, str | None, Any]] = []
    async with (
        asyncio.timeout(30),
        api.stream("POST", "/v1/workloads", json=INLINE, headers=SSE | {"Idempotency-Key": key}) as answer,
    ):
        assert answer.status_code == 200, await answer.aread()
        assert answer.headers["content-type"] == "text/event-stream"
        async for event in events(answer):
            if not found:
                assert answer.headers["location"] == f"/v1/workloads/{event[2]['id']}"
                if event[2]["state"] == "pending":
                    await world.run("default", event[2]["id"], LINES)
            found.append(event)
    return found


async def test_the_lines_come_in_the_answer(api: httpx.AsyncClient, world: World) -> None:
    found = await watch(api, world, key="watched")
    assert [name for name, _, _ in found] == ["workload", *["line"] * len(LINES), "done", "workload"]
    assert [event_id for _, event_id, _ in found[1:-2]] == [str(number) for number in range(1, 301)]
    assert [(data["stream"], data["text"]) for _, _, data in found[1:-2]] == LINES
    ended = found[-1][2]
    assert (ended["state"], ended["stdout"]) == ("completed", "".join(f"{text}\n" for _, text in LINES))


async def test_a_repeat_reads_what_the_first_call_had(api: httpx.AsyncClient, world: World) -> None:
    first = await watch(api, world, key="repeated")
    again = await watch(api, world, key="repeated")
    assert again[0][2]["state"] == "completed"
    assert again[1:] == first[1:]


async def test_a_refusal_is_no_stream(api: httpx.AsyncClient) -> None:
    answer = await api.post("/v1/workloads", json={"source": {}}, headers=SSE)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")


async def test_a_reader_that_leaves_takes_nothing_with_it(api: httpx.AsyncClient, world: World) -> None:
    async with api.stream("POST", "/v1/workloads", json=INLINE, headers=SSE) as answer:
        name, _, view = await anext(events(answer))
        assert name == "workload"
    await world.run("default", view["id"], LINES)
    assert (await api.get(f"/v1/workloads/{view['id']}")).json()["state"] == "completed"
