"""Who may do what: keys, roles, two tenants on every call."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import pytest_asyncio

from support.gateway import Gateway, World, eventually, make_key
from vulcan_chassis.errors import StartError
from vulcan_contracts.outcome import Artifact
from vulcan_gateway.settings import GatewaySettings

INLINE = {"source": {"type": "inline", "code": "console.log('secret of one')"}, "runtime": "javascript"}
ID = "wl_01arz3ndektsv4rrffq69g5fav"
CALLS = [
    ("GET", "/v1/workloads", "reader"),
    ("POST", "/v1/workloads", "writer"),
    ("POST", "/v1/workloads/async", "writer"),
    ("GET", f"/v1/workloads/{ID}", "reader"),
    ("DELETE", f"/v1/workloads/{ID}", "writer"),
    ("POST", f"/v1/workloads/{ID}/kill", "writer"),
    ("POST", f"/v1/workloads/{ID}/replay", "writer"),
    ("GET", f"/v1/workloads/{ID}/logs", "reader"),
    ("GET", f"/v1/workloads/{ID}/events", "reader"),
    ("GET", f"/v1/workloads/{ID}/artifacts", "reader"),
    ("GET", f"/v1/workloads/{ID}/artifacts/x", "reader"),
    ("GET", "/v1/backends", "reader"),
    ("GET", "/v1/nodes", "reader"),
    ("POST", "/v1/nodes/x/drain", "platform"),
    ("GET", "/v1/stats", "reader"),
    ("GET", "/v1/events", "reader"),
    ("GET", "/v1/whoami", "reader"),
    ("GET", "/v1/keys", "admin"),
    ("POST", "/v1/keys", "admin"),
    ("DELETE", "/v1/keys/000000000000", "admin"),
    ("GET", "/v1/tenants", "platform"),
    ("GET", "/v1/tenants/x", "platform"),
    ("PUT", "/v1/tenants/x", "platform"),
    ("POST", "/v1/admin/rebuild", "platform"),
    ("GET", "/v1/admin/rebuild", "platform"),
    ("GET", "/v1/admin/rebuild/x", "platform"),
    ("GET", "/metrics", "platform"),
    ("GET", "/schema", "reader"),
    ("GET", "/v1/nothing", None),
    ("GET", "/", None),
    ("PATCH", "/v1/workloads", None),
]
RANK = {"reader": 0, "writer": 1, "admin": 2, "platform": 3}


@pytest_asyncio.fixture
async def one(gateway: Gateway, api: httpx.AsyncClient) -> AsyncIterator[httpx.AsyncClient]:
    async with gateway.client((await make_key(api, tenant="tenant-one", role="admin"))["key"]) as client:
        yield client


@pytest_asyncio.fixture
async def two(gateway: Gateway, api: httpx.AsyncClient) -> AsyncIterator[httpx.AsyncClient]:
    async with gateway.client((await make_key(api, tenant="tenant-two", role="admin"))["key"]) as client:
        yield client


STRANGERS: list[Any] = [
    None,
    "",
    "Bearer",
    "Bearer vk_wrong",
    "Bearer vk_000000000000_" + "0" * 40,
    "Basic YTpi",
    "Bearer " + "x" * 5000,
    b"Bearer \xff\xfe",
]


async def test_nothing_works_without_a_key(gateway: Gateway) -> None:
    for authorization in STRANGERS:
        headers = {} if authorization is None else {"Authorization": authorization}
        async with gateway.client(None, headers=headers) as stranger:
            for method, path, _ in CALLS:
                for accept in ("application/json", "text/event-stream"):
                    answer = await stranger.request(method, path, headers={"Accept": accept})
                    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized"), (method, path)
                    assert answer.headers["www-authenticate"].startswith("Bearer")
                    assert answer.headers["content-type"] == "application/problem+json"


async def test_only_the_id_of_a_key_is_not_enough(gateway: Gateway, admin_token: str) -> None:
    async with gateway.client(admin_token[:-40] + "0" * 40) as stranger:
        assert (await stranger.get("/v1/whoami")).status_code == 401


async def test_health_needs_no_key(gateway: Gateway) -> None:
    async with gateway.client(None) as stranger:
        for path in ("/healthz", "/readyz"):
            answer = await stranger.get(path)
            assert answer.status_code == 200
            assert "server" not in answer.headers


async def test_roles(gateway: Gateway, api: httpx.AsyncClient, world: World) -> None:
    for role in ("reader", "writer", "admin"):
        async with gateway.client((await make_key(api, tenant="tenant-one", role=role))["key"]) as holder:
            for method, path, needed in CALLS:
                if needed is None:
                    continue
                answer = await holder.request(method, path)
                if RANK[role] < RANK[needed]:
                    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), (role, method, path)
                else:
                    assert answer.status_code not in (401, 403), (role, method, path, answer.text)
                    assert answer.status_code < 500 or "unavailable" in answer.text


async def test_another_tenants_work_is_unknown(
    one: httpx.AsyncClient, two: httpx.AsyncClient, api: httpx.AsyncClient, world: World
) -> None:
    mine = (await one.post("/v1/workloads/async", json=INLINE)).json()["id"]
    artifact = Artifact(name="x", size_bytes=1, sha256="0" * 64)
    await world.run("tenant-one", mine, [("stdout", "secret of one")], artifacts=[artifact])
    for stranger in (two, api):
        for path in ("", "/logs", "/logs?download=1", "/logs?tail=1", "/events", "/artifacts", "/artifacts/x"):
            for accept in ("application/json", "text/event-stream"):
                answer = await stranger.get(f"/v1/workloads/{mine}{path}", headers={"Accept": accept})
                assert answer.status_code == 404, (path, accept)
                assert "secret of one" not in answer.text
        for call in ("kill", "replay"):
            assert (await stranger.post(f"/v1/workloads/{mine}/{call}")).status_code == 404
        assert (await stranger.delete(f"/v1/workloads/{mine}")).status_code == 404
        assert (await stranger.get("/v1/events")).json()["items"] == []
    assert (await one.get(f"/v1/workloads/{mine}")).json()["deleted"] is False
    assert (await one.get(f"/v1/workloads/{mine}/logs")).json()["items"][0]["text"] == "secret of one"


async def test_live_events_are_ones_own(one: httpx.AsyncClient, two: httpx.AsyncClient, world: World) -> None:
    async with two.stream("GET", "/v1/events", headers={"Accept": "text/event-stream"}) as answer:
        lines = answer.aiter_lines()
        await anext(lines)
        theirs = (await one.post("/v1/workloads/async", json=INLINE)).json()["id"]
        ours = (await two.post("/v1/workloads/async", json=INLINE)).json()["id"]
        async with asyncio.timeout(10):
            async for line in lines:
                assert theirs not in line
                if ours in line:
                    break


async def test_the_same_idempotency_key_in_two_tenants(
    one: httpx.AsyncClient, two: httpx.AsyncClient, world: World
) -> None:
    headers = {"Idempotency-Key": "same"}
    ids = {(await c.post("/v1/workloads/async", json=INLINE, headers=headers)).json()["id"] for c in (one, two)}
    assert len(ids) == 2


async def test_admins_manage_their_own_tenants_keys(
    one: httpx.AsyncClient, two: httpx.AsyncClient, api: httpx.AsyncClient
) -> None:
    mine = await make_key(one, role="writer", name="mine")
    assert mine["tenant"] == "tenant-one"
    for wanted in ({"tenant": "tenant-two"}, {"tenant": "default"}):
        assert (await one.post("/v1/keys", json=wanted)).status_code == 403
    assert (await one.get("/v1/keys", params={"tenant": "tenant-two"})).status_code == 403
    listed = (await one.get("/v1/keys")).json()["items"]
    assert {key["tenant"] for key in listed} == {"tenant-one"}
    assert "secret" not in str(listed)
    assert mine["key"] not in str(listed)
    assert (await two.delete(f"/v1/keys/{mine['id']}")).status_code == 404
    assert mine["id"] in {
        key["id"] for key in (await api.get("/v1/keys", params={"tenant": "tenant-one"})).json()["items"]
    }
    assert (await api.delete(f"/v1/keys/{mine['id']}")).status_code == 204
    assert (await api.delete(f"/v1/keys/{mine['id']}")).status_code == 404


async def stream_to_its_end(client: httpx.AsyncClient) -> None:
    async with client.stream("GET", "/v1/events", headers={"Accept": "text/event-stream"}) as answer:
        assert answer.status_code == 200
        async for _ in answer.aiter_bytes():
            pass


async def test_a_revoked_key_stops_at_once_on_every_gateway(
    gateway: Gateway, settings: GatewaySettings, api: httpx.AsyncClient
) -> None:
    other = Gateway(msgspec.structs.replace(settings, bootstrap_key_file=""))
    await other.start()
    try:
        made = await make_key(api, role="reader")
        async with gateway.client(made["key"]) as here, other.client(made["key"]) as there:
            assert (await here.get("/v1/whoami")).json() == {
                "key_id": made["id"],
                "tenant": "default",
                "role": "reader",
                "name": "",
            }
            assert (await there.get("/v1/whoami")).status_code == 200
            open_streams = [asyncio.create_task(stream_to_its_end(client)) for client in (here, there)]
            await asyncio.sleep(0.3)
            assert (await api.delete(f"/v1/keys/{made['id']}")).status_code == 204
            assert (await here.get("/v1/whoami")).status_code == 401

            async def revoked() -> bool:
                return (await there.get("/v1/whoami")).status_code == 401

            await eventually(revoked, 2.0)
            async with asyncio.timeout(5):
                await asyncio.gather(*open_streams)
    finally:
        await other.stop()


async def test_a_wrong_bootstrap_key_is_said(settings: GatewaySettings, gateway: Gateway, tmp_path: Path) -> None:
    for content in ("", "nonsense", None):
        file = tmp_path / "wrong.key"
        if content is None:
            file.unlink()
        else:
            file.write_text(content)
        broken = Gateway(msgspec.structs.replace(settings, bootstrap_key_file=str(file)))
        with pytest.raises(StartError):
            await broken.start()
        assert broken.service is not None
        await broken.service.close()


async def test_streams_per_key_are_bounded(gateway: Gateway, settings: GatewaySettings, api: httpx.AsyncClient) -> None:
    limits = msgspec.structs.replace(settings.limits, streams_per_key=2)
    small = Gateway(msgspec.structs.replace(settings, limits=limits, listen="127.0.0.1:0"))
    await small.start()
    try:
        async with small.client((await make_key(api))["key"]) as client:
            sse = {"Accept": "text/event-stream"}
            async with client.stream("GET", "/v1/events", headers=sse), client.stream("GET", "/v1/events", headers=sse):
                refused = await client.get("/v1/events", headers=sse)
                assert (refused.status_code, refused.json()["code"]) == (429, "too_many_requests")
                assert refused.headers["retry-after"] == "1"
                # Before anything of the order is looked at, let alone put on the log: no node could run it.
                order = {"runtime": "javascript", "source": {"type": "inline", "code": "1"}}
                refused = await client.post("/v1/workloads", json=order, headers=sse)
                assert (refused.status_code, refused.json()["code"]) == (429, "too_many_requests")
            async with asyncio.timeout(5):
                while True:
                    async with client.stream("GET", "/v1/events", headers=sse) as again:
                        if again.status_code == 200:
                            break
    finally:
        await small.stop()
