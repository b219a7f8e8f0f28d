"""Submitting, waiting, reading, killing, deleting, replaying."""

import asyncio

import httpx
import pytest

from support.gateway import INLINE, Gateway, World, eventually, submit
from support.nats import NatsServer
from vulcan_contracts import subjects
from vulcan_contracts.logs import Stream
from vulcan_contracts.queue import ExplainRequest, Explanation
from vulcan_eventstore import broadcast


async def test_a_submit_waits_for_the_result(api: httpx.AsyncClient, world: World) -> None:
    running = asyncio.create_task(
        world.run_when_submitted("default", [("stdout", "one"), ("stderr", "two")], result={"a": 1})
    )
    await asyncio.sleep(0.2)
    answer = await api.post("/v1/workloads", json=INLINE, params={"wait": 20})
    workload_id = await running
    assert answer.status_code == 200, answer.text
    view = answer.json()
    assert answer.headers["location"] == f"/v1/workloads/{workload_id}"
    assert (view["id"], view["state"], view["stdout"], view["stderr"]) == (workload_id, "completed", "one\n", "two\n")
    assert view["result"] == {"a": 1}
    assert view["trace_id"]
    assert (await api.get(answer.headers["location"])).json() == view


async def test_async_returns_at_once(api: httpx.AsyncClient, world: World) -> None:
    answer = await api.post("/v1/workloads/async", json=INLINE | {"labels": {"team": "x"}})
    assert answer.status_code == 202
    view = answer.json()
    assert (view["state"], view["labels"], view["version"]) == ("pending", {"team": "x"}, 1)
    assert answer.headers["location"] == f"/v1/workloads/{view['id']}"
    assert (await api.get(answer.headers["location"])).json() == view


async def test_a_wait_that_is_too_short(api: httpx.AsyncClient, world: World) -> None:
    for wait in ("0", "0.2"):
        answer = await api.post("/v1/workloads", json=INLINE, params={"wait": wait})
        assert (answer.status_code, answer.json()["state"]) == (202, "pending")


async def test_the_trace_goes_on(api: httpx.AsyncClient, world: World) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    headers = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
    answer = await api.post("/v1/workloads/async", json=INLINE, headers=headers)
    assert answer.json()["trace_id"] == trace
    (event,) = await world.log.history("default", answer.json()["id"])
    assert (event.envelope.traceparent or "").startswith(f"00-{trace}-")
    assert event.envelope.actor.startswith("user:")


async def test_the_same_key_is_the_same_workload(api: httpx.AsyncClient, world: World) -> None:
    headers = {"Idempotency-Key": "order-1"}
    first = await api.post("/v1/workloads/async", json=INLINE, headers=headers)
    await world.run("default", first.json()["id"], [("stdout", "once")])
    again = await api.post("/v1/workloads", json=INLINE, headers=headers)
    assert (again.status_code, again.json()["id"], again.json()["stdout"]) == (200, first.json()["id"], "once\n")
    same = dict(reversed(INLINE.items())) | {"timeout_s": 30, "priority": 0}
    assert (await api.post("/v1/workloads/async", json=same, headers=headers)).status_code == 202
    other = await api.post("/v1/workloads/async", json=INLINE | {"priority": 1}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")


async def test_many_submits_under_one_key_at_once(api: httpx.AsyncClient, world: World) -> None:
    headers = {"Idempotency-Key": "race"}
    answers = await asyncio.gather(*(api.post("/v1/workloads/async", json=INLINE, headers=headers) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {202}
    (workload_id,) = {answer.json()["id"] for answer in answers}
    assert len(await world.log.history("default", workload_id)) == 1


@pytest.mark.parametrize("key", [b"", b"with space", b"x" * 256, b"\xc3\xbc"])
async def test_a_wrong_idempotency_key(api: httpx.AsyncClient, world: World, key: bytes) -> None:
    answer = await api.post("/v1/workloads/async", json=INLINE, headers=[(b"Idempotency-Key", key)])
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_idempotency_key")


async def test_kill_while_it_waits_and_while_it_runs(api: httpx.AsyncClient, world: World) -> None:
    waiting = await submit(api)
    killed = await api.post(f"/v1/workloads/{waiting}/kill")
    assert (killed.status_code, killed.json()["state"], killed.json()["reason"]) == (200, "killed", "killed_by_user")
    running = await submit(api)
    await world.start("default", running)
    for _ in range(2):
        asked = await api.post(f"/v1/workloads/{running}/kill")
        assert (asked.status_code, asked.json()["state"], asked.json()["kill_requested"]) == (202, "running", True)
    await world.end("default", running, reason="killed_by_user")
    assert (await api.post(f"/v1/workloads/{running}/kill")).status_code == 200


async def test_delete(api: httpx.AsyncClient, world: World) -> None:
    workload_id = await submit(api)
    for _ in range(2):
        assert (await api.delete(f"/v1/workloads/{workload_id}")).status_code == 204
    view = (await api.get(f"/v1/workloads/{workload_id}")).json()
    assert (view["state"], view["deleted"]) == ("killed", True)


async def test_replay(api: httpx.AsyncClient, world: World) -> None:
    first = await submit(api, env={"A": "1"})
    answer = await api.post(f"/v1/workloads/{first}/replay")
    view = answer.json()
    assert (answer.status_code, view["replay_of"], view["spec"]["env"]) == (202, first, {"A": "1"})
    assert view["id"] != first
    headers = {"Idempotency-Key": "again"}
    one = await api.post(f"/v1/workloads/{first}/replay", headers=headers)
    two = await api.post(f"/v1/workloads/{first}/replay", headers=headers)
    assert one.json()["id"] == two.json()["id"]


async def test_output_is_cut(api: httpx.AsyncClient, world: World) -> None:
    workload_id = await submit(api)
    lines: list[tuple[Stream, str]] = [("stdout", "ü" * 1000)] * 40
    await world.run("default", workload_id, [*lines, ("stderr", "short")])
    view = (await api.get(f"/v1/workloads/{workload_id}")).json()
    assert (len(view["stdout"].encode()), view["stdout_truncated"]) == (65536, True)
    assert (view["stderr"], view["stderr_truncated"]) == ("short\n", False)


async def test_a_retry_shows_nothing_of_the_attempt_before(api: httpx.AsyncClient, world: World) -> None:
    workload_id = await submit(api, retry={"max_attempts": 2, "on": ["exit_nonzero"]})
    await world.run("default", workload_id, [("stdout", "first")], reason="exit_nonzero", exit_code=3)
    view = (await api.get(f"/v1/workloads/{workload_id}")).json()
    assert (view["state"], view["attempt"], view["reason"], view["exit_code"]) == ("pending", 2, None, None)
    assert view["stdout"] == "first\n"


async def test_no_node_can_run_it(api: httpx.AsyncClient, gateway: Gateway) -> None:
    answer = await api.post("/v1/workloads/async", json=INLINE)
    assert (answer.status_code, answer.json()["code"]) == (503, "backend_unavailable")
    assert answer.headers["retry-after"]
    assert answer.json()["hint"]


async def test_a_repeat_is_answered_though_no_node_is_left(api: httpx.AsyncClient, world: World) -> None:
    headers = {"Idempotency-Key": "kept"}
    first = await api.post("/v1/workloads/async", json=INLINE, headers=headers)
    await world.beat(state="stopped")
    await asyncio.sleep(0.1)
    assert (await api.post("/v1/workloads/async", json=INLINE)).status_code == 503
    again = await api.post("/v1/workloads/async", json=INLINE, headers=headers)
    assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])


async def test_a_python_run_has_no_node(api: httpx.AsyncClient, world: World) -> None:
    answer = await api.post("/v1/workloads/async", json=INLINE | {"runtime": "python"})
    assert (answer.status_code, answer.json()["code"]) == (503, "backend_unavailable")
    assert "python" in answer.json()["detail"]


async def test_the_waiting_quota(api: httpx.AsyncClient, world: World) -> None:
    stored = await api.put("/v1/tenants/default", json={"quotas": {"max_waiting": 2}})
    assert stored.status_code == 200, stored.text

    async def known() -> bool:
        return bool((await api.get("/v1/tenants/default")).json()["quotas"].get("max_waiting") == 2)

    await eventually(known)
    headers = {"Idempotency-Key": "first"}
    assert (await api.post("/v1/workloads/async", json=INLINE, headers=headers)).status_code == 202
    await submit(api)
    refused = await api.post("/v1/workloads/async", json=INLINE)
    assert (refused.status_code, refused.json()["code"]) == (429, "quota_exceeded")
    assert refused.headers["retry-after"]
    assert (await api.post("/v1/workloads/async", json=INLINE, headers=headers)).status_code == 202


async def test_a_client_that_leaves_frees_its_place_and_the_run_goes_on(
    gateway: Gateway, api: httpx.AsyncClient, world: World, admin_token: str
) -> None:
    async with gateway.client(admin_token) as impatient:
        with pytest.raises(httpx.ReadTimeout):
            await impatient.post(
                "/v1/workloads", json=INLINE, headers={"Idempotency-Key": "left"}, params={"wait": 60}, timeout=0.3
            )

    async def freed() -> bool:
        return "vulcan_gateway_waiting_calls_open 0.0" in (await api.get("/metrics")).text

    await eventually(freed)
    again = await api.post("/v1/workloads/async", json=INLINE, headers={"Idempotency-Key": "left"})
    assert again.json()["version"] == 1


async def test_a_wait_survives_a_restart_of_nats(api: httpx.AsyncClient, world: World, nats_server: NatsServer) -> None:
    waiting = asyncio.create_task(
        api.post("/v1/workloads", json=INLINE, headers={"Idempotency-Key": "hiccup"}, params={"wait": 30})
    )
    await asyncio.sleep(0.3)
    workload_id = (await api.post("/v1/workloads/async", json=INLINE, headers={"Idempotency-Key": "hiccup"})).json()[
        "id"
    ]
    await nats_server.bounce()
    await world.run("default", workload_id, [("stdout", "after")])
    answer = await waiting
    assert answer.status_code == 200, answer.text
    assert answer.json()["stdout"] == "after\n"


async def test_submits_while_nats_is_away_go_through_when_it_is_back(
    api: httpx.AsyncClient, world: World, nats_server: NatsServer
) -> None:
    bouncing = asyncio.create_task(nats_server.bounce(0.5))
    await asyncio.sleep(0.1)
    answer = await api.post("/v1/workloads/async", json=INLINE)
    await bouncing
    assert answer.status_code == 202, answer.text
    assert (await api.get(answer.headers["location"])).status_code == 200


async def test_why_it_waits(api: httpx.AsyncClient, world: World) -> None:
    async def explain(question: ExplainRequest) -> Explanation:
        return Explanation(pending_reason=f"because of {question.tenant}", position=3)

    serving = await broadcast.serve(world.bus, subjects.EXPLAIN_REQUEST, ExplainRequest, explain)
    workload_id = await submit(api)
    view = (await api.get(f"/v1/workloads/{workload_id}")).json()
    assert (view["pending_reason"], view["queue_position"]) == ("because of default", 3)
    await serving.close()
    assert (await api.get(f"/v1/workloads/{workload_id}")).json()["pending_reason"] is None
