"""Bad input: a problem document that names what is wrong, and nothing lost, nothing crashed."""

import asyncio
import gzip
import hashlib
import io
import json
import socket
import tarfile
import zipfile
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import httpx

from support.gateway import Gateway, World
from vulcan_contracts.subjects import source_blob
from vulcan_eventstore.blobs import Blobs

INLINE: dict[str, Any] = {"source": {"type": "inline", "code": "1"}, "runtime": "javascript"}
JSON = {"Content-Type": "application/json"}


def problem(answer: httpx.Response, status: int, code: str | None = None) -> dict[str, Any]:
    assert answer.status_code == status, (answer.status_code, answer.text)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    document: dict[str, Any] = answer.json()
    assert document["status"] == status
    assert document["type"] == f"urn:vulcan:problem:{document['code']}"
    assert document["title"]
    assert document["request_id"] == answer.headers["x-request-id"]
    if code is not None:
        assert document["code"] == code, document
    return document


MALFORMED = {
    "nothing": b"",
    "half an object": b"{",
    "a trailing comma": b'{"source": 1,}',
    "no JSON": b"nonsense",
    "invalid UTF-8": b'{"runtime": "\xff"}',
    "a lone surrogate": b'{"runtime": "\\ud800"}',
    "NaN": b'{"timeout_s": NaN}',
    "Infinity": b'{"timeout_s": Infinity}',
    "too large a number": b'{"timeout_s": 1e999}',
    "deep nesting": b"[" * 100_000,
    "deep nesting that closes": b"[" * 50_000 + b"]" * 50_000,
    "two values": b"{} {}",
    "a raw control character": b'{"runtime": "\x00"}',
}


async def test_malformed_json(api: httpx.AsyncClient, world: World) -> None:
    for body in MALFORMED.values():
        problem(await api.post("/v1/workloads/async", content=body, headers=JSON), 400, "malformed_json")


WRONG: dict[str, tuple[Any, str]] = {
    "a list": ([], ""),
    "null": (None, ""),
    "no source": ({"runtime": "javascript"}, "source"),
    "a source without type": ({"source": {}}, "source.type"),
    "an unknown source": ({"source": {"type": "x"}}, "source.type"),
    "code of a wrong type": ({"source": {"type": "inline", "code": 1}}, "source.code"),
    "empty code": ({"source": {"type": "inline", "code": ""}}, "source.code"),
    "a wrong type": (INLINE | {"timeout_s": "soon"}, "timeout_s"),
    "a negative limit": (INLINE | {"resources": {"memory_mb": -1}}, "resources.memory_mb"),
    "an enormous limit": (INLINE | {"resources": {"cpus": 1e300}}, "resources.cpus"),
    "an enormous integer": (INLINE | {"resources": {"memory_mb": 10**40}}, "resources.memory_mb"),
    "a fraction": (INLINE | {"resources": {"pids": 1.5}}, "resources.pids"),
    "an unknown isolation": (INLINE | {"isolation": "docker"}, "isolation"),
    "a bad name of a variable": (INLINE | {"env": {"A=B": "x"}}, "env"),
    "NUL in an argument": (INLINE | {"args": ["a\u0000b"]}, "args[0]"),
    "v8 and python": (INLINE | {"isolation": "v8", "runtime": "python"}, "isolation"),
    "no runtime": ({"source": {"type": "inline", "code": "1"}}, "runtime"),
    "a path that leaves": (
        {"source": {"type": "files", "files": {"../a.js": "1"}, "entrypoint": "../a.js"}},
        "source.files",
    ),
    "no entrypoint": ({"source": {"type": "files", "files": {"a.js": "1"}, "entrypoint": "b.js"}}, "source.entrypoint"),
    "a bad egress rule": (INLINE | {"network": {"egress": "allow_list", "allow": ["http://x"]}}, "network.allow[0]"),
    "an artifact outside": (INLINE | {"artifacts": ["/etc/*"]}, "artifacts[0]"),
    "a retry that never happens": (INLINE | {"retry": {"on": ["killed_by_user"]}}, "retry.on[0]"),
    "an archive without one": ({"source": {"type": "archive", "entrypoint": "a.js"}}, "source"),
    "an unknown field": (INLINE | {"timeout": 3}, "timeout"),
}


async def test_a_field_is_named(api: httpx.AsyncClient, world: World) -> None:
    for body, field in WRONG.values():
        answer = await api.post("/v1/workloads/async", content=json.dumps(body), headers=JSON)
        assert problem(answer, 422, "invalid_spec")["errors"][0]["field"].startswith(field), answer.text


async def test_every_unknown_field_is_named(api: httpx.AsyncClient, world: World) -> None:
    body = INLINE | {"timeot_s": 1, "resources": {"memory": 1}, "source": INLINE["source"] | {"x": 1}}
    document = problem(await api.post("/v1/workloads", json=body), 422, "invalid_spec")
    assert {error["field"] for error in document["errors"]} == {"timeot_s", "resources.memory", "source.x"}


async def test_a_wrong_content_type(api: httpx.AsyncClient, world: World) -> None:
    for media_type in ("text/plain", "application/xml", "application/jsonx", ""):
        headers = {"Content-Type": media_type} if media_type else {}
        for path in ("/v1/workloads", "/v1/keys"):
            problem(await api.post(path, content=b"{}", headers=headers), 415, "unsupported_media_type")


async def test_a_charset_is_fine(api: httpx.AsyncClient, world: World) -> None:
    headers = {"Content-Type": "Application/JSON; charset=utf-8"}
    answer = await api.post("/v1/workloads/async", content=json.dumps(INLINE), headers=headers)
    assert answer.status_code == 202


async def test_a_huge_body(api: httpx.AsyncClient, world: World) -> None:
    body = json.dumps(INLINE | {"stdin": "x" * (1 << 20)}).encode()
    problem(await api.post("/v1/workloads", content=body, headers=JSON), 413, "body_too_large")


async def test_a_huge_body_of_unknown_length(gateway: Gateway, admin_token: str, world: World) -> None:
    sent: list[None] = []

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(100_000):
            sent.append(None)
            yield b" " * 65536

    async with gateway.client(admin_token) as client:
        try:
            answer = await client.post("/v1/workloads", content=pieces(), headers=JSON)
        except httpx.TransportError:
            pass  # cut off in the middle of 6 GB
        else:
            problem(answer, 413, "body_too_large")
    assert len(sent) < 10_000


async def test_what_grows_when_it_is_written_out(api: httpx.AsyncClient, world: World) -> None:
    body = b'{"source":{"type":"inline","code":"1"},"runtime":"javascript","input":[%s]}' % b",".join(
        [b"1e15"] * 140_000
    )
    problem(await api.post("/v1/workloads/async", content=body, headers=JSON), 413, "body_too_large")


UNKNOWN = ["wl_01arz3ndektsv4rrffq69g5fav", "nonsense", "*", ">", "a.b", "%00", "%ff", "x" * 3000, "wl_%2e%2e", "%0a"]


async def test_unknown_ids(api: httpx.AsyncClient, world: World) -> None:
    for wrong in UNKNOWN:
        await no_such(api, wrong)
    problem(await api.get("/v1/tenants/not%20one"), 404, "not_found")


async def no_such(api: httpx.AsyncClient, wrong: str) -> None:
    for path in ("", "/logs", "/events", "/artifacts", "/artifacts/x", "/artifacts/a/b"):
        problem(await api.get(f"/v1/workloads/{wrong}{path}"), 404, "not_found")
    problem(await api.delete(f"/v1/workloads/{wrong}"), 404, "not_found")
    for path in ("/kill", "/replay"):
        problem(await api.post(f"/v1/workloads/{wrong}{path}"), 404, "not_found")
    problem(await api.delete(f"/v1/keys/{wrong}"), 404, "not_found")
    problem(await api.post(f"/v1/nodes/{wrong}/drain"), 404, "not_found")


PARAMETERS = [
    ("/v1/workloads", "limit=0"),
    ("/v1/workloads", "limit=501"),
    ("/v1/workloads", "limit=many"),
    ("/v1/workloads", "limit=1&limit=2"),
    ("/v1/workloads", "limit=null"),
    ("/v1/workloads", "state=dead"),
    ("/v1/workloads", "nothing=1"),
    ("/v1/workloads", "label="),
    ("/v1/workloads", "label==x"),
    ("/v1/workloads", "text=%00"),
    ("/v1/workloads", "submitted_after=yesterday"),
    ("/v1/workloads", "submitted_after=123"),
    ("/v1/workloads", "submitted_after=2026-01-01T00:00:00"),
    ("/v1/stats", "window_s=-1"),
    ("/v1/stats", "window_s=nan"),
    ("/v1/stats", "window_s=inf"),
    ("/v1/events", "type=x"),
    ("/v1/whoami", "x=1"),
]


async def test_wrong_parameters(api: httpx.AsyncClient, world: World) -> None:
    for path, parameters in PARAMETERS:
        document = problem(await api.get(f"{path}?{parameters}"), 400, "invalid_parameter")
        assert document["errors"][0]["field"].startswith(parameters.partition("=")[0])
    for wait in ("-1", "301", "nan", "soon", ""):
        problem(await api.post("/v1/workloads", params={"wait": wait}, json=INLINE), 400, "invalid_parameter")


async def test_wrong_cursors(api: httpx.AsyncClient) -> None:
    for cursor in ("nonsense", "x" * 100, "=", "MTIzLndsXw", "ü", "", "LTEud2xfMDFhcno"):
        problem(await api.get("/v1/workloads", params={"cursor": cursor}), 400, "invalid_cursor")


async def test_wrong_calls(api: httpx.AsyncClient) -> None:
    problem(await api.get("/v1/nothing"), 404, "not_found")
    problem(await api.get("/"), 404, "not_found")
    problem(await api.put("/v1/workloads", json={}), 405, "method_not_allowed")
    problem(await api.request("PROPFIND", "/v1/workloads"), 405, "method_not_allowed")
    problem(await api.post("/healthz"), 405, "method_not_allowed")
    assert (await api.put("/v1/workloads", json={})).headers["allow"] == "GET, OPTIONS, POST"
    options = await api.options(f"/v1/workloads/{'wl_01arz3ndektsv4rrffq69g5fav'}")
    assert (options.status_code, options.headers["allow"]) == (204, "DELETE, GET, OPTIONS")
    brewed = await api.request("BREW", "/v1/workloads")
    assert (brewed.status_code, brewed.json()["code"]) == (400, "bad_request")


def archive(entries: dict[str, bytes], kind: str = "tar.gz") -> bytes:
    """The same bytes for the same entries, whatever the time."""
    packed = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as bundle:
            for name, data in entries.items():
                bundle.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    else:
        with (
            gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as zipped,
            tarfile.open(fileobj=zipped, mode="w") as tar,
        ):
            for name, data in entries.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return packed.getvalue()


def linked() -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        link = tarfile.TarInfo("main.js")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    return packed.getvalue()


ARCHIVE_SPEC = {"source": {"type": "archive", "entrypoint": "main.js"}}


async def upload(api: httpx.AsyncClient, packed: bytes, spec: Any = ARCHIVE_SPEC, **options: Any) -> httpx.Response:
    return await api.post(
        "/v1/workloads/async",
        files={"spec": (None, json.dumps(spec), "application/json"), "archive": ("a.bin", packed)},
        **options,
    )


async def test_archives(api: httpx.AsyncClient, world: World) -> None:
    for kind in ("tar.gz", "zip"):
        await archive_goes_in(api, kind)


async def archive_goes_in(api: httpx.AsyncClient, kind: str) -> None:
    packed = archive({"main.js": b"1", "lib/a.js": b"2"}, kind)
    answer = await upload(api, packed, headers={"Idempotency-Key": kind})
    assert answer.status_code == 202, answer.text
    source = answer.json()["spec"]["source"]
    assert (source["format"], source["size_bytes"], len(source["sha256"])) == (kind, len(packed), 64)
    again = await upload(api, packed, headers={"Idempotency-Key": kind})
    assert again.json()["id"] == answer.json()["id"]
    other = await upload(api, archive({"main.js": b"2"}, kind), headers={"Idempotency-Key": kind})
    problem(other, 422, "idempotency_mismatch")
    replayed = await api.post(f"/v1/workloads/{answer.json()['id']}/replay")
    assert replayed.json()["spec"]["source"] == source


async def test_the_archive_of_a_refused_submit_is_not_kept(api: httpx.AsyncClient, world: World) -> None:
    async def kept(tag: bytes) -> bool:
        packed = archive({"main.js": tag})
        return await Blobs(world.bus).info(source_blob("default", hashlib.sha256(packed).hexdigest())) is not None

    async def send(tag: bytes, spec: Any = ARCHIVE_SPEC, **headers: str) -> httpx.Response:
        return await upload(api, archive({"main.js": tag}), spec, headers=headers)

    assert (await send(b"right", **{"Idempotency-Key": "kept"})).status_code == 202
    assert await kept(b"right")
    problem(await send(b"other", **{"Idempotency-Key": "kept"}), 422, "idempotency_mismatch")
    assert not await kept(b"other")
    problem(await send(b"nowhere", ARCHIVE_SPEC | {"isolation": "microvm"}), 503, "backend_unavailable")
    assert not await kept(b"nowhere")


HOSTILE = {
    "garbage": b"not an archive",
    "empty": b"",
    "cut short": archive({"main.js": b"1" * 100_000})[:40],
    "leaves its folder": archive({"main.js": b"1", "../x": b""}),
    "absolute": archive({"main.js": b"1", "/etc/x": b""}),
    "a link": linked(),
    "no entrypoint": archive({"other.js": b"1"}),
    "a bomb": archive({"main.js": b"1", "zeros": bytes(300 << 20)}, "zip"),
}


async def test_hostile_archives(api: httpx.AsyncClient, world: World) -> None:
    for packed in HOSTILE.values():
        document = problem(await upload(api, packed), 422, "invalid_archive")
        assert document["errors"][0]["field"] == "archive"


async def test_a_huge_archive(api: httpx.AsyncClient, world: World) -> None:
    problem(await upload(api, bytes(65 << 20)), 413, "body_too_large")


async def test_forms_that_do_not_fit(api: httpx.AsyncClient, world: World) -> None:
    good = archive({"main.js": b"1"})
    spec: tuple[None, str, str] = (None, json.dumps(ARCHIVE_SPEC), "application/json")
    inline: tuple[None, str, str] = (None, json.dumps(INLINE), "application/json")
    path = "/v1/workloads/async"
    problem(await api.post(path, files={"archive": ("a", good)}), 422, "invalid_body")
    problem(await api.post(path, files={"spec": spec}), 422, "invalid_spec")
    problem(await api.post(path, files={"spec": inline, "archive": ("a", good)}), 422, "invalid_spec")
    problem(await api.post(path, files={"spec": spec, "archive": ("a", good), "more": ("b", b"")}), 422, "invalid_body")
    doubled = await api.post(path, files=[("spec", spec), ("spec", spec), ("archive", ("a", good))])
    assert problem(doubled, 422, "invalid_body")["errors"] == [{"field": "spec", "message": "comes twice"}]
    problem(await api.post(path, files={"spec": (None, "{"), "archive": ("a", good)}), 400, "malformed_json")
    wrong = {"source": ARCHIVE_SPEC["source"] | {"sha256": "0" * 64}}
    problem(await upload(api, good, wrong), 422, "invalid_spec")
    assert (await api.post(path, files={"spec": inline})).status_code == 202


FORMS = [
    ("multipart/form-data", b""),
    ("multipart/form-data; boundary=", b""),
    ("multipart/form-data; boundary=" + "x" * 300, b""),
    ("multipart/form-data; boundary=x", b""),
    ("multipart/form-data; boundary=x", b"nonsense"),
    ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data; name=spec\r\n\r\n{}"),
    ("multipart/form-data; boundary=x", b"--x\r\n" + b"A" * 100_000),
]


async def test_malformed_forms(api: httpx.AsyncClient, world: World) -> None:
    for content_type, body in FORMS:
        answer = await api.post("/v1/workloads/async", content=body, headers={"Content-Type": content_type})
        problem(answer, 400, "malformed_multipart")


async def test_a_client_that_leaves_in_the_middle(
    gateway: Gateway, api: httpx.AsyncClient, admin_token: str, world: World
) -> None:
    where = urlsplit(gateway.url)
    for content_type in ("application/json", "multipart/form-data; boundary=x"):
        with socket.create_connection((where.hostname, where.port)) as raw:
            head = (
                f"POST /v1/workloads HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {admin_token}\r\n"
                f"Content-Type: {content_type}\r\nContent-Length: 1000\r\n\r\n"
            )
            await asyncio.to_thread(raw.sendall, head.encode() + b"--x\r\n")
            await asyncio.sleep(0.1)
    await asyncio.sleep(0.1)
    metrics = (await api.get("/metrics")).text
    assert 'status="500"' not in metrics
    assert "vulcan_gateway_uploads_open 0.0" in metrics


KEYS: list[tuple[Any, str]] = [
    ({"role": "god"}, "role"),
    ({"tenant": "UPPER"}, "tenant"),
    ({"tenant": "a.b"}, "tenant"),
    ({"tenant": "a\n"}, "tenant"),
    ({"tenant": ""}, "tenant"),
    ({"name": "x" * 200}, "name"),
    ({"nam": "x"}, "nam"),
]
TENANTS: list[tuple[Any, str]] = [
    ({"quotas": {"max_waiting": -1}}, "quotas.max_waiting"),
    ({"quotas": {"weight": 0}}, "quotas.weight"),
    ({"quotas": {"max": 1}}, "quotas.max"),
    ({"log_retention_days": 0}, "log_retention_days"),
]


async def test_wrong_keys_and_tenants(api: httpx.AsyncClient) -> None:
    for body, field in KEYS:
        assert problem(await api.post("/v1/keys", json=body), 422, "invalid_body")["errors"][0]["field"] == field
    for body, field in TENANTS:
        assert problem(await api.put("/v1/tenants/x", json=body), 422, "invalid_body")["errors"][0]["field"] == field


async def test_artifact_names(api: httpx.AsyncClient, world: World) -> None:
    workload_id = (await api.post("/v1/workloads/async", json=INLINE)).json()["id"]
    await world.run("default", workload_id)
    for name in ("x", "..%2f..%2fetc%2fpasswd", "%00", "a/../b", "*"):
        problem(await api.get(f"/v1/workloads/{workload_id}/artifacts/{name}"), 404, "not_found")
