"""The event log hangs: what is asked of it is refused in time and in plain words, and readiness says why."""

from collections.abc import AsyncIterator

import httpx
import msgspec
import pytest
import pytest_asyncio

from support.gateway import INLINE, Gateway, World, eventually, submit
from support.nats import NatsServer
from vulcan_gateway.settings import GatewaySettings


@pytest_asyncio.fixture
async def gateway(settings: GatewaySettings) -> AsyncIterator[Gateway]:
    """One that soon gives up on a submit."""
    running = Gateway(msgspec.structs.replace(settings, append_timeout_s=1.0))
    await running.start()
    yield running
    await running.stop()


async def refused_submit(api: httpx.AsyncClient) -> None:
    answer = await api.post("/v1/workloads/async", json=INLINE, headers={"Idempotency-Key": "once"})
    assert (answer.status_code, answer.json()["code"]) == (503, "event_log_unavailable")
    assert int(answer.headers["Retry-After"]) >= 1
    assert "Idempotency-Key" in answer.json()["hint"]
    assert "disk" in answer.json()["hint"]


async def readiness(api: httpx.AsyncClient) -> tuple[int, dict[str, str]]:
    answer = await api.get("/readyz")
    return answer.status_code, answer.json()["checks"]


async def test_a_submit_that_goes_unanswered_shows_in_readiness(
    api: httpx.AsyncClient, world: World, nats_server: NatsServer
) -> None:
    assert (await readiness(api))[0] == 200
    with nats_server.frozen():
        await refused_submit(api)
        status, checks = await readiness(api)
        assert status == 503
        assert "nats-server" in checks["event_log"]
        assert checks["nats"] == "ok"  # its connection stands


async def test_the_next_submit_that_is_answered_makes_it_ready_again(
    api: httpx.AsyncClient, world: World, nats_server: NatsServer
) -> None:
    with nats_server.frozen():
        await refused_submit(api)
        assert (await readiness(api))[0] == 503
    await submit(api)
    assert (await readiness(api))[0] == 200


@pytest.mark.usefixtures("world")
async def test_it_is_ready_again_without_a_submit_for_it_may_get_none(
    api: httpx.AsyncClient, nats_server: NatsServer
) -> None:
    with nats_server.frozen():
        await refused_submit(api)
        assert (await readiness(api))[0] == 503

    async def ready() -> bool:
        return (await readiness(api))[0] == 200

    await eventually(ready)
