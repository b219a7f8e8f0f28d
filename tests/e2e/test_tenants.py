"""Two tenants that cannot see, list, read, kill or count each other's work, on any call."""

import threading
from collections.abc import Iterator

import httpx
import pytest

from support.stack import Stack

INLINE = {"source": {"type": "inline", "code": "console.log('secret of one')"}, "runtime": "javascript"}


def member(stack: Stack, api: httpx.Client, tenant: str, role: str = "writer") -> httpx.Client:
    made = api.post("/v1/keys", json={"tenant": tenant, "role": role, "name": "test"})
    assert made.status_code == 201, made.text
    headers = {"Authorization": f"Bearer {made.json()['key']}"}
    return httpx.Client(base_url=stack.url, headers=headers, timeout=60)


@pytest.fixture
def one(stack: Stack, api: httpx.Client) -> Iterator[httpx.Client]:
    with member(stack, api, "tenant-one") as client:
        yield client


@pytest.fixture
def two(stack: Stack, api: httpx.Client) -> Iterator[httpx.Client]:
    with member(stack, api, "tenant-two") as client:
        yield client


READS = ["", "/logs", "/events", "/artifacts", "/artifacts/x"]


def test_another_tenants_work_is_unknown(one: httpx.Client, two: httpx.Client, api: httpx.Client) -> None:
    mine = one.post("/v1/workloads", json=INLINE).json()["id"]
    for stranger in (two, api):
        for path in READS:
            for accept in ("application/json", "text/event-stream"):
                answer = stranger.get(f"/v1/workloads/{mine}{path}", headers={"Accept": accept})
                assert answer.status_code == 404, (path, accept, answer.text)
                assert "secret of one" not in answer.text
        assert stranger.post(f"/v1/workloads/{mine}/kill").status_code == 404
        assert stranger.post(f"/v1/workloads/{mine}/replay").status_code == 404
        assert stranger.delete(f"/v1/workloads/{mine}").status_code == 404
    assert one.get(f"/v1/workloads/{mine}").json()["deleted"] is False


def test_lists_and_counts_are_ones_own(one: httpx.Client, two: httpx.Client) -> None:
    mine = one.post("/v1/workloads", json=INLINE).json()["id"]
    assert mine not in {item["id"] for item in two.get("/v1/workloads").json()["items"]}
    before = two.get("/v1/stats").json()
    one.post("/v1/workloads", json=INLINE)
    after = two.get("/v1/stats").json()
    assert before["backends"] == after["backends"]


def test_the_same_idempotency_key_in_two_tenants(one: httpx.Client, two: httpx.Client) -> None:
    headers = {"Idempotency-Key": "same"}
    ids = {client.post("/v1/workloads", json=INLINE, headers=headers).json()["id"] for client in (one, two)}
    assert len(ids) == 2


def test_live_events_are_ones_own(one: httpx.Client, two: httpx.Client) -> None:
    seen: list[str] = []
    listening = threading.Event()

    def listen() -> None:
        with two.stream("GET", "/v1/events", headers={"Accept": "text/event-stream"}, timeout=30) as answer:
            listening.set()
            for line in answer.iter_lines():
                seen.append(line)
                if "completed" in line:
                    return

    reader = threading.Thread(target=listen)
    reader.start()
    assert listening.wait(10)
    theirs = one.post("/v1/workloads", json=INLINE).json()["id"]
    ours = two.post("/v1/workloads", json=INLINE).json()["id"]
    reader.join(30)
    assert any(ours in line for line in seen)
    assert not any(theirs in line for line in seen)


CALLS = [
    ("GET", "/v1/workloads"),
    ("POST", "/v1/workloads"),
    ("POST", "/v1/workloads/async"),
    ("GET", "/v1/workloads/wl_01arz3ndektsv4rrffq69g5fav"),
    ("DELETE", "/v1/workloads/wl_01arz3ndektsv4rrffq69g5fav"),
    ("POST", "/v1/workloads/wl_01arz3ndektsv4rrffq69g5fav/kill"),
    ("POST", "/v1/workloads/wl_01arz3ndektsv4rrffq69g5fav/replay"),
    ("GET", "/v1/workloads/wl_01arz3ndektsv4rrffq69g5fav/logs"),
    ("GET", "/v1/workloads/wl_01arz3ndektsv4rrffq69g5fav/events"),
    ("GET", "/v1/workloads/wl_01arz3ndektsv4rrffq69g5fav/artifacts"),
    ("GET", "/v1/backends"),
    ("GET", "/v1/nodes"),
    ("POST", "/v1/nodes/x/drain"),
    ("GET", "/v1/stats"),
    ("GET", "/v1/events"),
    ("GET", "/v1/keys"),
    ("POST", "/v1/keys"),
    ("GET", "/metrics"),
    ("GET", "/schema"),
]


@pytest.mark.parametrize(("method", "path"), CALLS)
@pytest.mark.parametrize("key", [None, "vk_wrong", "vk_000000000000_" + "0" * 40])
def test_nothing_works_without_a_key(stack: Stack, method: str, path: str, key: str | None) -> None:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    answer = httpx.request(method, stack.url + path, headers=headers)
    assert answer.status_code == 401
    assert answer.json()["code"] == "unauthorized"


def test_health_needs_no_key(stack: Stack) -> None:
    assert httpx.get(stack.url + "/healthz").status_code == 200
    assert httpx.get(stack.url + "/readyz").status_code == 200


def test_a_reader_may_not_write(stack: Stack, api: httpx.Client) -> None:
    with member(stack, api, "tenant-one", "reader") as reader:
        assert reader.get("/v1/workloads").status_code == 200
        refused = reader.post("/v1/workloads", json=INLINE)
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
        assert reader.post("/v1/keys", json={}).status_code == 403


def test_a_revoked_key_stops_working(stack: Stack, api: httpx.Client) -> None:
    made = api.post("/v1/keys", json={"role": "reader"}).json()
    with httpx.Client(base_url=stack.url, headers={"Authorization": f"Bearer {made['key']}"}) as holder:
        assert holder.get("/v1/whoami").status_code == 200
        assert api.delete(f"/v1/keys/{made['id']}").status_code in (200, 204)
        assert holder.get("/v1/whoami").status_code == 401
