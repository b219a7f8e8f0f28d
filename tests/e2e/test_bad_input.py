"""Bad input: a problem document that names the field, nothing lost, nothing crashed."""

import io
import json
import tarfile
import zipfile
from typing import Any

import httpx
import pytest

INLINE = {"source": {"type": "inline", "code": "1"}, "runtime": "javascript"}


def problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, (answer.status_code, answer.text)
    assert answer.headers["content-type"].startswith("application/problem+json"), answer.text
    document: dict[str, Any] = answer.json()
    assert document["status"] == status
    assert document["type"].endswith(document["code"])
    assert document["title"]
    assert document["request_id"]
    return document


def fields(document: dict[str, Any]) -> list[str]:
    return [error["field"] for error in document["errors"]]


@pytest.mark.parametrize("body", [b"", b"{", b'{"source":', b"nonsense", b'"\xff"', b"[" * 100_000])
def test_malformed_json(api: httpx.Client, body: bytes) -> None:
    problem(api.post("/v1/workloads", content=body, headers={"Content-Type": "application/json"}), 400)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a wrong type": ({"timeout_s": "soon"}, "timeout_s"),
    "a negative limit": ({"resources": {"memory_mb": -1}}, "resources.memory_mb"),
    "an enormous limit": ({"resources": {"cpus": 1e300}}, "resources.cpus"),
    "an enormous integer": ({"resources": {"memory_mb": 10**40}}, "resources.memory_mb"),
    "an unknown field": ({"timeout": 3}, "timeout"),
    "an unknown nested field": ({"resources": {"memory": 3}}, "resources.memory"),
    "an unknown isolation": ({"isolation": "docker"}, "isolation"),
    "a bad environment name": ({"env": {"A=B": "x"}}, "env"),
    "NUL in an argument": ({"args": ["a\u0000b"]}, "args[0]"),
    "v8 cannot run python": ({"isolation": "v8", "runtime": "python"}, "isolation"),
    "a path that leaves": (
        {"source": {"type": "files", "files": {"../a.js": "1"}, "entrypoint": "../a.js"}},
        "source.files[../a.js]",
    ),
    "no such entrypoint": (
        {"source": {"type": "files", "files": {"a.js": "1"}, "entrypoint": "b.js"}},
        "source.entrypoint",
    ),
    "a bad egress rule": ({"network": {"egress": "allow_list", "allow": ["http://x"]}}, "network.allow[0]"),
    "an artifact outside": ({"artifacts": ["/etc/*"]}, "artifacts[0]"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_field_is_named(api: httpx.Client, name: str) -> None:
    change, field = WRONG[name]
    document = problem(api.post("/v1/workloads", json=INLINE | change), 422)
    assert any(named.startswith(field) for named in fields(document)), document


def test_every_unknown_field_is_named(api: httpx.Client) -> None:
    document = problem(api.post("/v1/workloads", json=INLINE | {"timeot_s": 1, "resources": {"memory": 1}}), 422)
    assert fields(document) == ["timeot_s", "resources.memory"]
    assert "timeout_s" in document["errors"][0]["message"]


def test_a_missing_source(api: httpx.Client) -> None:
    assert "source" in str(problem(api.post("/v1/workloads", json={"runtime": "javascript"}), 422)["errors"])


def test_a_huge_body(api: httpx.Client) -> None:
    body = json.dumps(INLINE | {"stdin": "x" * (8 << 20)})
    problem(api.post("/v1/workloads", content=body, headers={"Content-Type": "application/json"}), 413)


@pytest.mark.parametrize("media_type", ["text/plain", "application/xml", "application/octet-stream"])
def test_a_wrong_content_type(api: httpx.Client, media_type: str) -> None:
    problem(api.post("/v1/workloads", content=b"x", headers={"Content-Type": media_type}), 415)


@pytest.mark.parametrize("path", ["", "/logs", "/events", "/artifacts", "/artifacts/x"])
def test_unknown_ids(api: httpx.Client, path: str) -> None:
    for wrong in ("wl_01arz3ndektsv4rrffq69g5fav", "nonsense", "*", "a.b", "%00", "x" * 3000):
        problem(api.get(f"/v1/workloads/{wrong}{path}"), 404)


def test_wrong_cursors(api: httpx.Client) -> None:
    problem(api.get("/v1/workloads", params={"cursor": "nonsense"}), 400)
    problem(api.get("/v1/workloads", params={"limit": "-1"}), 400)
    problem(api.get("/v1/workloads", params={"limit": "many"}), 400)


def test_wrong_calls(api: httpx.Client) -> None:
    problem(api.get("/v1/nothing"), 404)
    problem(api.put("/v1/workloads", json={}), 405)


def hostile_archive(name: str) -> bytes:
    packed = io.BytesIO()
    if name == "zip bomb":
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as bundle:
            bundle.writestr("main.js", "1")
            bundle.writestr("zeros", b"\x00" * (1 << 30))
        return packed.getvalue()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        entry = tarfile.TarInfo("main.js")
        tar.addfile(entry, io.BytesIO(b""))
        bad = tarfile.TarInfo("../escaped" if name == "traversal" else "link")
        if name == "absolute":
            bad.name = "/etc/escaped"
        if name == "symlink":
            bad.type, bad.linkname = tarfile.SYMTYPE, "/etc/passwd"
        if name == "hardlink":
            bad.type, bad.linkname = tarfile.LNKTYPE, "main.js"
        if name == "device":
            bad.type = tarfile.CHRTYPE
        tar.addfile(bad)
    return packed.getvalue()


ODD = {"garbage": b"not an archive", "empty": b""}


@pytest.mark.parametrize(
    "name", ["zip bomb", "traversal", "absolute", "symlink", "hardlink", "device", "garbage", "empty"]
)
def test_hostile_archives(api: httpx.Client, name: str) -> None:
    packed = ODD[name] if name in ODD else hostile_archive(name)
    spec = json.dumps({"source": {"type": "archive", "entrypoint": "main.js"}})
    answer = api.post(
        "/v1/workloads", files={"spec": (None, spec, "application/json"), "archive": ("a.tar.gz", packed)}
    )
    assert answer.status_code in (413, 422), answer.text
    document = problem(answer, answer.status_code)
    assert "archive" in str(document), document


def test_code_with_nul_and_odd_text(api: httpx.Client) -> None:
    for code in ("console.log('a\u0000b')", "\ufeffconsole.log(1)", "console.log('\u2028')"):
        answer = api.post("/v1/workloads", json=INLINE | {"source": {"type": "inline", "code": code}})
        assert answer.status_code == 200, answer.text
        assert answer.json()["state"] in ("completed", "failed")


def test_everything_still_works(api: httpx.Client) -> None:
    assert api.post("/v1/workloads", json=INLINE).json()["state"] == "completed"
