"""What the scheduler promises, seen from outside: why work waits, quotas, queue TTL, drain, retries."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from support.stack import Stack

SLEEPER = "console.log('up'); setInterval(() => {}, 1000);"


def inline(code: str, **spec: Any) -> dict[str, Any]:
    return {"source": {"type": "inline", "code": code}, "runtime": "javascript", **spec}


def wait_for(condition: Callable[[], bool], timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "gave up waiting"
        time.sleep(0.05)


def submit(client: httpx.Client, body: dict[str, Any]) -> str:
    answer = client.post("/v1/workloads/async", json=body)
    assert answer.status_code == 202, answer.text
    identity: str = answer.json()["id"]
    return identity


def view(client: httpx.Client, identity: str) -> dict[str, Any]:
    answer = client.get(f"/v1/workloads/{identity}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.fixture
def small(stack: Stack, api: httpx.Client) -> Iterator[httpx.Client]:
    """A tenant that may run one workload and let two wait."""
    stored = api.put("/v1/tenants/small", json={"quotas": {"max_running": 1, "max_waiting": 2}})
    assert stored.status_code in (200, 201), stored.text
    key = api.post("/v1/keys", json={"tenant": "small", "role": "writer"}).json()["key"]
    with httpx.Client(base_url=stack.url, headers={"Authorization": f"Bearer {key}"}, timeout=60) as client:
        yield client
        for item in client.get("/v1/workloads", params={"limit": 100}).json()["items"]:
            client.post(f"/v1/workloads/{item['id']}/kill")


def test_quotas_and_the_reason_to_wait(small: httpx.Client, api: httpx.Client) -> None:
    running = submit(small, inline(SLEEPER, timeout_s=60))
    wait_for(lambda: view(small, running)["state"] == "running")
    first = submit(small, inline(SLEEPER, timeout_s=60))
    second = submit(small, inline("console.log('late')", timeout_s=60, priority=1))

    def full() -> bool:
        answer = small.post("/v1/workloads/async", json=inline("1"))
        if answer.status_code == 202:
            small.post(f"/v1/workloads/{answer.json()['id']}/kill")
        return answer.status_code == 429

    wait_for(full)
    refused = small.post("/v1/workloads/async", json=inline("1"))
    assert (refused.status_code, refused.json()["code"]) == (429, "quota_exceeded")
    assert int(refused.headers["retry-after"]) >= 1
    waiting = view(small, first)
    assert waiting["state"] == "pending"
    assert "1" in waiting["pending_reason"]
    assert (view(small, second)["queue_position"], waiting["queue_position"]) == (1, 2)
    assert api.post("/v1/workloads", json=inline("console.log('others run')")).json()["stdout"] == "others run\n"
    small.post(f"/v1/workloads/{running}/kill")
    wait_for(lambda: view(small, second)["state"] == "completed")
    wait_for(lambda: view(small, first)["state"] == "running")


def test_work_that_waits_too_long_expires(small: httpx.Client) -> None:
    running = submit(small, inline(SLEEPER, timeout_s=60))
    wait_for(lambda: view(small, running)["state"] == "running")
    late = submit(small, inline("1", queue_ttl_s=1))
    wait_for(lambda: view(small, late)["state"] == "failed")
    assert view(small, late)["reason"] == "queue_expired"


def test_a_drained_node_gets_nothing_new(api: httpx.Client) -> None:
    node = api.get("/v1/nodes").json()["items"][0]["node"]
    assert api.post(f"/v1/nodes/{node}/drain", json={"drain": True}).status_code == 200
    try:
        wait_for(lambda: bool(api.get("/v1/nodes").json()["items"][0]["draining"]))
        held = submit(api, inline("console.log('after the drain')"))
        wait_for(lambda: "drain" in (view(api, held)["pending_reason"] or ""))
        assert view(api, held)["state"] == "pending"
    finally:
        assert api.post(f"/v1/nodes/{node}/drain", json={"drain": False}).status_code == 200
    wait_for(lambda: view(api, held)["state"] == "completed")


def test_retries_by_policy(api: httpx.Client) -> None:
    retry = {"max_attempts": 3, "on": ["exit_nonzero"]}
    done = api.post("/v1/workloads", json=inline("console.log('try'); Deno.exit(3)", retry=retry)).json()
    assert (done["state"], done["reason"], done["attempt"], done["exit_code"]) == ("failed", "exit_nonzero", 3, 3)
    events = [event["type"] for event in api.get(f"/v1/workloads/{done['id']}/events").json()["items"]]
    assert events == ["submitted"] + ["scheduled", "started", "retrying"] * 2 + ["scheduled", "started", "failed"]
    lines = api.get(f"/v1/workloads/{done['id']}/logs", params={"stream": "stdout"}).json()["items"]
    assert [line["text"] for line in lines] == ["try"] * 3
    plain = api.post("/v1/workloads", json=inline("Deno.exit(3)")).json()
    assert plain["attempt"] == 1


def test_a_lost_executor_is_told_apart_from_a_failure(stack: Stack, api: httpx.Client) -> None:
    once = submit(api, inline(SLEEPER, timeout_s=60))
    again = submit(
        api, inline("console.log('up'); await new Promise((r) => setTimeout(r, 1500));", retry={"max_attempts": 5})
    )
    for identity in (once, again):
        wait_for(lambda identity=identity: "up" in view(api, identity)["stdout"])  # type: ignore[misc]
    stack.kill("executor-v8")
    wait_for(lambda: view(api, once)["state"] == "failed", 60)
    assert view(api, once)["reason"] == "executor_lost"
    wait_for(lambda: view(api, again)["state"] == "completed", 60)
    assert view(api, again)["attempt"] == 2
