"""Lists, search, statistics and rebuilds, with the logstore that fills Postgres; and what works without Postgres."""

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import httpx
import msgspec
import pytest
import pytest_asyncio

from support.gateway import Gateway, World, eventually, make_key, submit
from support.nats import NatsServer
from support.postgres import PostgresServer, own_postgres
from vulcan_chassis.service import Service, ServiceSettings
from vulcan_gateway.settings import GatewaySettings
from vulcan_logstore.settings import LogstoreSettings
from vulcan_logstore.wiring import wire

__all__ = ["own_postgres"]


@pytest_asyncio.fixture
async def logstore(gateway: Gateway, nats_server: NatsServer) -> AsyncIterator[None]:
    service = Service("logstore", ServiceSettings(stop_step_timeout_s=3.0))
    await wire(service, LogstoreSettings(database_url=gateway.settings.database_url, nats=nats_server.settings))
    yield
    await service.close()


async def listed(api: httpx.AsyncClient, **params: Any) -> list[str]:
    answer = await api.get("/v1/workloads", params=params)
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json()["items"]]


async def paged(api: httpx.AsyncClient, **params: Any) -> list[str]:
    found: list[str] = []
    cursor: str | None = None
    while True:
        page = (await api.get("/v1/workloads", params=params | ({"cursor": cursor} if cursor else {}))).json()
        found += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
        assert page["has_more"] is (cursor is not None)
        if cursor is None:
            return found


async def until_listed(api: httpx.AsyncClient, workload_id: str, **params: Any) -> None:
    async def there() -> bool:
        answer = await api.get("/v1/workloads", params=params)
        return answer.status_code == 200 and workload_id in {item["id"] for item in answer.json()["items"]}

    await eventually(there, 20.0)


@pytest.mark.usefixtures("logstore")
async def test_lists(gateway: Gateway, api: httpx.AsyncClient, world: World) -> None:
    ids = [await submit(api, labels={"n": str(i), "parity": "odd" if i % 2 else "even"}) for i in range(7)]
    await world.run("default", ids[0], [("stdout", "x")])
    await world.run("default", ids[1], reason="exit_nonzero", exit_code=2, message="it said no")
    await api.post(f"/v1/workloads/{ids[2]}/kill")
    await api.delete(f"/v1/workloads/{ids[3]}")
    await until_listed(api, ids[2], state="killed")

    async def deleted() -> bool:
        return ids[3] not in await listed(api)

    await eventually(deleted)
    kept = [ids[i] for i in (6, 5, 4, 2, 1, 0)]
    assert await listed(api) == kept
    assert await listed(api, state="pending") == kept[:3]
    assert await listed(api, state=["failed", "killed"]) == [ids[2], ids[1]]
    assert await listed(api, state=["completed", "pending", "failed", "pending"], limit=4) == [*kept[:3], ids[1]]
    assert await listed(api, reason="exit_nonzero") == [ids[1]]
    assert await listed(api, reason=["exit_nonzero", "killed_by_user"]) == [ids[2], ids[1]]
    assert await listed(api, reason=["exit_nonzero", "killed_by_user"], state="failed") == [ids[1]]
    assert await listed(api, reason="exit_nonzero", state="killed", label="n=1") == []
    assert await listed(api, label="parity=odd") == [ids[5], ids[1]]
    assert await listed(api, label="parity=odd,n=5") == [ids[5]]
    assert await listed(api, label=["parity", "n=4"]) == [ids[4]]
    assert await listed(api, label="nothing") == []
    assert await listed(api, text="said no") == [ids[1]]
    assert await listed(api, text=ids[4]) == [ids[4]]
    assert await listed(api, text="%") == []
    assert await listed(api, runtime="javascript", isolation="auto") == kept
    assert await listed(api, backend="v8") == [ids[1], ids[0]]
    assert await listed(api, isolation="gvisor") == []
    assert await listed(api, submitted_after="2999-01-01T00:00:00Z") == []
    assert await listed(api, submitted_before="2999-01-01T00:00:00Z") == kept
    assert await paged(api, limit=2) == kept
    assert await paged(api, limit=1, state=["completed", "pending"]) == [*kept[:3], ids[0]]
    item = (await api.get("/v1/workloads", params={"reason": "exit_nonzero"})).json()["items"][0]
    view = (await api.get(f"/v1/workloads/{ids[1]}")).json()
    assert item == {name: view[name] for name in item}
    async with gateway.client((await make_key(api, tenant="other"))["key"]) as other:
        assert await listed(other) == []
        stats = (await other.get("/v1/stats")).json()
        assert (stats["backends"], stats["waiting"], stats["running"]) == ([], 0, 0)


@pytest.mark.usefixtures("logstore")
async def test_stats(api: httpx.AsyncClient, world: World) -> None:
    done, failed, waiting = [await submit(api) for _ in range(3)]
    await world.run("default", done)
    await world.run("default", failed, reason="timed_out")
    await until_listed(api, failed, state="failed")
    await until_listed(api, waiting)
    stats = (await api.get("/v1/stats", params={"window_s": 3600})).json()
    v8, none = stats["backends"]
    assert (v8["backend"], v8["completed"], v8["failed"], v8["reasons"]) == ("v8", 1, 1, {"timed_out": 1})
    assert v8["total_ms"]["p50"] > 0
    assert (none["backend"], none["pending"], none["total_ms"]["p50"]) == (None, 1, None)
    assert (stats["waiting"], stats["running"], stats["window_s"]) == (1, 0, 3600.0)


@pytest.mark.usefixtures("logstore")
async def test_history_and_search_from_postgres(gateway: Gateway, api: httpx.AsyncClient, world: World) -> None:
    workload_id = await submit(api)
    await world.run("default", workload_id, [("stdout" if i % 2 else "stderr", f"line {i}") for i in range(1, 3001)])

    async def projected() -> bool:
        connection = await asyncpg.connect(gateway.settings.database_url)
        try:
            return bool(await connection.fetchval("SELECT count(*) FROM log_lines") == 3000)
        finally:
            await connection.close()

    await eventually(projected, 20.0)
    path = f"/v1/workloads/{workload_id}/logs"
    page = (await api.get(path, params={"search": "99", "limit": 1000})).json()
    assert [line["seq"] for line in page["items"]] == [i for i in range(1, 3001) if "99" in f"line {i}"]
    assert not page["has_more"]
    page = (await api.get(path, params={"stream": "stderr", "limit": 2, "after": "2990"})).json()
    assert ([line["seq"] for line in page["items"]], page["has_more"]) == ([2992, 2994], True)
    text = (await api.get(path, params={"download": 1})).text
    assert text == "".join(f"line {i}\n" for i in range(1, 3001))


@pytest.mark.usefixtures("logstore")
async def test_a_rebuild(api: httpx.AsyncClient, world: World) -> None:
    workload_id = await submit(api)
    await until_listed(api, workload_id)
    before = (await api.get("/v1/workloads")).json()
    started = await api.post("/v1/admin/rebuild")
    assert started.status_code == 202, started.text

    async def done() -> bool:
        status = (await api.get(started.headers["location"])).json()
        assert status["state"] != "failed", status
        return bool(status["state"] == "done")

    await eventually(done, 30.0)
    assert (await api.get("/v1/workloads")).json() == before
    assert (await api.get("/v1/admin/rebuild")).json()["id"] == started.json()["id"]
    assert (await api.get("/v1/admin/rebuild/nonsense")).status_code == 404


async def test_without_a_logstore(api: httpx.AsyncClient) -> None:
    answer = await api.post("/v1/admin/rebuild")
    assert (answer.status_code, answer.json()["code"]) == (503, "projection_unavailable")


async def test_without_postgres_everything_else_works(
    settings: GatewaySettings, own_postgres: PostgresServer, nats_server: NatsServer, world: World, admin_token: str
) -> None:
    url = own_postgres.create_database()
    gateway = Gateway(msgspec.structs.replace(settings, database_url=url, listen="127.0.0.1:0"))
    service = Service("logstore", ServiceSettings(stop_step_timeout_s=3.0))
    await wire(service, LogstoreSettings(database_url=url, nats=nats_server.settings))
    await gateway.start()
    try:
        await world.beat()
        async with gateway.client(admin_token) as api:

            async def known() -> bool:
                return bool((await api.get("/v1/nodes")).json()["items"])

            await eventually(known)
            first = await submit(api)
            await until_listed(api, first)
            own_postgres.kill()
            for path in ("/v1/workloads", "/v1/stats"):
                answer = await api.get(path)
                assert (answer.status_code, answer.json()["code"]) == (503, "projection_unavailable")
                assert answer.headers["retry-after"]
            second = await submit(api)
            await world.run("default", second, [("stdout", f"{i}") for i in range(1, 501)])
            view = (await api.get(f"/v1/workloads/{second}")).json()
            assert (view["state"], len(view["stdout"].splitlines())) == ("completed", 500)
            page = (await api.get(f"/v1/workloads/{second}/logs", params={"search": "77"})).json()
            assert [line["seq"] for line in page["items"]] == [77, 177, 277, 377, 477]
            assert (await api.get("/readyz")).status_code == 200
            own_postgres.start()
            await until_listed(api, second, state="completed")
    finally:
        await gateway.stop()
        await service.close()
