"""What a call sends, and when it is sent again."""

import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.http_server import Answer, Chunks, Drop, HttpServer, Reply, as_json, problem, sse
from support.views import WORKLOAD, document, event, workload
from vulcan_contracts.reasons import Reason
from vulcan_contracts.spec import InlineSource, Spec
from vulcan_sdk import (
    ApiError,
    ConnectError,
    DeadlineError,
    FolderArchive,
    ProtocolError,
    RetryPolicy,
    Vulcan,
    WorkloadFilter,
    from_path,
)

Client = Callable[..., Any]

QUICK = RetryPolicy(max_attempts=4, first_delay_s=0.001, max_delay_s=0.01)
ONE = f"/v1/workloads/{WORKLOAD}"
SPEC = Spec(source=InlineSource(code="1"), runtime="typescript")


def test_a_get_carries_the_key_and_decodes(server: HttpServer, client: Client) -> None:
    view = workload(reason=Reason.TIMED_OUT, state="failed")
    server.on("GET", ONE, as_json(document(view)))
    assert client("get", WORKLOAD) == view
    assert server.asked[0].headers["authorization"] == "Bearer vk_test"
    assert server.asked[0].headers["user-agent"].startswith("vulcan-sdk/")


def test_an_unknown_field_of_a_later_release_does_no_harm(server: HttpServer, client: Client) -> None:
    server.on("GET", ONE, as_json(document(workload()) | {"from_the_future": 1}))
    assert client("get", WORKLOAD).id == WORKLOAD


def test_a_refusal_is_an_error_with_its_problem(server: HttpServer, client: Client) -> None:
    wrong = {"field": "resources.memory_mb", "message": "is too much"}
    server.on("POST", "/v1/workloads/async", problem(422, "invalid_spec", detail="No.", hint="Less.", errors=[wrong]))
    with pytest.raises(ApiError) as caught:
        client("submit", SPEC)
    assert (caught.value.status, caught.value.code) == (422, "invalid_spec")
    assert "resources.memory_mb: is too much" in str(caught.value)
    assert "Less." in str(caught.value)
    assert len(server.asked) == 1


@pytest.mark.parametrize("detail", ["runtime is needed.", "runtime: is needed."])
def test_what_the_detail_says_is_not_said_again(server: HttpServer, client: Client, detail: str) -> None:
    wrong = [{"field": "runtime", "message": "is needed"}, {"field": "source", "message": "is needed"}]
    server.on("POST", "/v1/workloads/async", problem(422, "invalid_spec", detail=detail, errors=wrong))
    with pytest.raises(ApiError) as caught:
        client("submit", SPEC)
    assert caught.value.message == f"{detail}\n  source: is needed"


def test_an_id_cannot_reach_another_path(server: HttpServer, client: Client) -> None:
    with pytest.raises(ApiError):
        client("get", "../keys?x=1#y")
    assert server.asked[0].path == "/v1/workloads/..%2Fkeys%3Fx%3D1%23y"


def test_a_submit_is_repeated_under_one_key_after_a_lost_connection(server: HttpServer, client: Client) -> None:
    server.on("POST", "/v1/workloads/async", Drop(), Drop(), as_json(document(workload(state="pending")), 202))
    assert client("submit", SPEC).state == "pending"
    keys = {asked.headers["idempotency-key"] for asked in server.asked}
    assert len(server.asked) == 3
    assert len(keys) == 1
    assert len({asked.body for asked in server.asked}) == 1


def test_two_submits_have_different_keys_unless_given(server: HttpServer, client: Client) -> None:
    server.on("POST", "/v1/workloads/async", as_json(document(workload()), 202))
    client("submit", SPEC)
    client("submit", SPEC)
    client("submit", SPEC, idempotency_key="order-1")
    first, second, third = (asked.headers["idempotency-key"] for asked in server.asked)
    assert first != second
    assert third == "order-1"


def test_what_may_not_be_repeated_is_not(server: HttpServer, client: Client) -> None:
    server.on("POST", "/v1/keys", Drop())
    with pytest.raises(ConnectError):
        client("create_key")
    assert len(server.asked) == 1


def test_a_busy_server_is_asked_again_no_sooner_than_it_says(server: HttpServer, client: Client) -> None:
    refusal = problem(429, "quota_exceeded", headers={"retry-after": "1"})
    server.on("POST", "/v1/workloads/async", refusal, as_json(document(workload()), 202))
    begun = time.monotonic()
    client("submit", SPEC)
    assert time.monotonic() - begun >= 1
    assert len(server.asked) == 2


def test_a_wait_longer_than_there_is_time_is_not_begun(server: HttpServer, make: Callable[..., Client]) -> None:
    server.on("GET", ONE, problem(503, "event_log_unavailable", headers={"retry-after": "3600"}))
    with pytest.raises(ApiError) as caught:
        make(timeout_s=5.0)("get", WORKLOAD)
    assert caught.value.retry_after_s == 3600
    assert len(server.asked) == 1


@pytest.mark.parametrize(("status", "code"), [(502, "bad_gateway"), (503, "event_log_unavailable"), (504, "timeout")])
def test_passing_trouble_passes(server: HttpServer, client: Client, status: int, code: str) -> None:
    server.on("GET", ONE, problem(status, code), problem(status, code), as_json(document(workload())))
    assert client("get", WORKLOAD).state == "completed"
    assert len(server.asked) == 3


@pytest.mark.parametrize(
    ("status", "code"), [(400, "x"), (401, "x"), (403, "x"), (404, "x"), (500, "x"), (503, "backend_unavailable")]
)
def test_what_waiting_does_not_change_is_final(server: HttpServer, client: Client, status: int, code: str) -> None:
    server.on("GET", ONE, problem(status, code))
    with pytest.raises(ApiError):
        client("get", WORKLOAD)
    assert len(server.asked) == 1


def test_attempts_are_bounded(server: HttpServer, client: Client) -> None:
    server.on("GET", ONE, problem(503, "event_log_unavailable"))
    with pytest.raises(ApiError):
        client("get", WORKLOAD)
    assert len(server.asked) == 4


def test_a_server_that_was_there_is_waited_for(server: HttpServer) -> None:
    away: list[Reply] = [Drop(), problem(503, "event_log_unavailable")] * 4
    server.on("GET", ONE, as_json(document(workload())), *away, as_json(document(workload())))
    with Vulcan(server.url, "vk_test", retries=QUICK, environ={}) as vulcan:
        vulcan.get(WORKLOAD)
        vulcan.get(WORKLOAD)
    assert len(server.asked) == 10


def test_a_quota_is_not_waited_for_longer_than_the_attempts(server: HttpServer) -> None:
    server.on("GET", ONE, as_json(document(workload())), problem(429, "quota_exceeded"))
    with Vulcan(server.url, "vk_test", retries=QUICK, environ={}) as vulcan:
        vulcan.get(WORKLOAD)
        with pytest.raises(ApiError):
            vulcan.get(WORKLOAD)
    assert len(server.asked) == 1 + QUICK.max_attempts


def test_a_proxy_that_answers_is_told_apart(server: HttpServer, client: Client) -> None:
    server.on("GET", ONE, Answer(403, b"<html>no way</html>", {"content-type": "text/html"}))
    with pytest.raises(ApiError) as caught:
        client("get", WORKLOAD)
    assert caught.value.code == "http_403"
    assert "no way" in str(caught.value)


def test_something_else_that_answers_is_told_apart(server: HttpServer, client: Client) -> None:
    server.on("GET", ONE, Answer(200, b"<html>welcome</html>", {"content-type": "text/html"}))
    with pytest.raises(ProtocolError):
        client("get", WORKLOAD)


def test_the_key_does_not_follow_a_redirect(server: HttpServer, client: Client) -> None:
    with HttpServer.running() as elsewhere:
        server.on("GET", ONE, Answer(307, b"", {"location": f"{elsewhere.url}{ONE}"}))
        with pytest.raises(ProtocolError, match="redirects"):
            client("get", WORKLOAD)
        assert elsewhere.asked == []


def test_a_server_that_never_answers_costs_the_deadline_only(make: Callable[..., Client]) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(DeadlineError):
            make(url=f"http://127.0.0.1:{silent.getsockname()[1]}", timeout_s=0.3)("get", WORKLOAD)


def test_nobody_there_says_what_to_do(make: Callable[..., Client]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(ConnectError) as caught:
            make(url=url)("get", WORKLOAD)
    assert f"Vulcan is not running at {url}" in str(caught.value)
    assert "vulcan up" in str(caught.value)


def test_run_waits_in_one_request_when_it_is_short(server: HttpServer, client: Client) -> None:
    server.on("POST", "/v1/workloads", as_json(document(workload())))
    assert client("run", SPEC).stdout == "hello\n"
    assert [asked.query for asked in server.asked] == [{"wait": ["30"]}]


def test_run_follows_the_events_when_it_is_long(server: HttpServer, client: Client) -> None:
    server.on("POST", "/v1/workloads", as_json(document(workload(state="running")), 202))
    server.on("GET", f"{ONE}/events", sse(event(5, "submitted")), sse(event(9, "completed"), ("done", None, {})))
    server.on("GET", ONE, as_json(document(workload())))
    assert client("run", SPEC).state == "completed"
    follows = server.to("GET", f"{ONE}/events")
    assert [asked.headers.get("last-event-id") for asked in follows] == [None, "5"]


def test_run_has_a_deadline(server: HttpServer, client: Client) -> None:
    server.on("POST", "/v1/workloads", as_json(document(workload(state="running")), 202))
    server.on("GET", f"{ONE}/events", sse(event(5, "submitted")))
    with pytest.raises(DeadlineError):
        client("run", SPEC, timeout_s=0.3)
    assert server.asked[0].query == {"wait": ["0.3"]}


def test_an_archive_travels_beside_the_spec_and_can_be_repeated(
    server: HttpServer, client: Client, tmp_path: Path
) -> None:
    (tmp_path / "main.ts").write_text("console.log(1)")
    (tmp_path / "big.bin").write_bytes(bytes(range(256)) * 2000)
    server.on("POST", "/v1/workloads/async", Drop(), as_json(document(workload(state="pending")), 202))
    client("submit", from_path(tmp_path, timeout_s=5.0))
    first, second = server.asked
    assert first.body == second.body
    assert first.headers["content-type"].startswith("multipart/form-data; boundary=")
    boundary = first.headers["content-type"].partition("boundary=")[2].encode()
    parts = first.body.split(b"--" + boundary)
    assert parts[0] == b""
    assert parts[3] == b"--\r\n"
    assert b'name="spec"\r\nContent-Type: application/json\r\n\r\n{"source":{"type":"archive"' in parts[1]
    packed = parts[2].partition(b"\r\n\r\n")[2].removesuffix(b"\r\n")
    assert packed == b"".join(FolderArchive(tmp_path).chunks())


def test_lists_are_walked_page_by_page(server: HttpServer, client: Client) -> None:
    summary = document(workload())
    server.on(
        "GET",
        "/v1/workloads",
        as_json({"items": [summary | {"id": "wl_a"}], "next_cursor": "next", "has_more": True}),
        as_json({"items": [summary | {"id": "wl_b"}], "next_cursor": None, "has_more": False}),
    )
    where = WorkloadFilter(state="failed", labels={"team": "x", "a": "b"})
    assert [item.id for item in client("iter_workloads", where, page=1)] == ["wl_a", "wl_b"]
    first, second = server.asked
    assert first.query == {"state": ["failed"], "label": ["team=x", "a=b"], "limit": ["1"]}
    assert second.query == first.query | {"cursor": ["next"]}


def test_a_download_is_retried_until_it_has_begun(server: HttpServer, client: Client) -> None:
    server.on("GET", f"{ONE}/artifacts/out/a%20b.bin", Drop(), Answer(200, b"\x00\xff" * 100_000))
    assert b"".join(client("download", WORKLOAD, "out/a b.bin")) == b"\x00\xff" * 100_000
    assert len(server.asked) == 2


def test_a_download_that_breaks_off_is_an_error(server: HttpServer, client: Client) -> None:
    server.on("GET", f"{ONE}/artifacts/a", Chunks(iter([b"half"]), broken=True))
    with pytest.raises(ConnectError):
        client("download", WORKLOAD, "a")


def test_delays_double_up_to_the_longest() -> None:
    policy = RetryPolicy(first_delay_s=1, max_delay_s=8)
    for failures, longest in ((1, 1), (2, 2), (3, 4), (4, 8), (5, 8), (1000, 8)):
        for _ in range(50):
            assert longest / 2 <= policy.delay_s(failures) <= longest


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes its certificate with openssl")
def test_a_certificate_is_checked(make: Callable[..., Client], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"
    subprocess.run([*made.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True)
    with HttpServer.running(tls=(certificate, key)) as server:
        server.on("GET", ONE, as_json(document(workload())))
        with pytest.raises(ConnectError, match="SSL_CERT_FILE"):
            make(url=server.url)("get", WORKLOAD)
        assert server.asked == []
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert make(url=server.url)("get", WORKLOAD).state == "completed"
