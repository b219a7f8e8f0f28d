"""The other commands: what they ask the server and what they print, for people and as JSON."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.http_server import Answer, HttpServer, as_json, problem, sse
from support.views import WORKLOAD, document, done, event, line, workload
from vulcan_cli.app import app
from vulcan_contracts.clock import utc_now
from vulcan_contracts.reasons import Reason

Vulcan = Callable[..., Any]

ONE = f"/v1/workloads/{WORKLOAD}"
NOW = utc_now().isoformat()
CAPACITY = {"cpus": 2.0, "memory_mb": 4096, "slots": 8}
REPORT = {
    "isolation": "v8",
    "available": True,
    "engine": "deno 2.9.8",
    "runtimes": ["javascript"],
    "warnings": ["no cgroup: memory is not held to its limit"],
}
BACKENDS = {
    "items": [
        {
            "isolation": "v8", "available": True, "nodes": ["n1"], "report": REPORT, "capacity": CAPACITY,
            "used": CAPACITY | {"slots": 3}, "unavailable_reason": "", "hint": "",
        },
        {
            "isolation": "gvisor", "available": False, "nodes": [], "report": None,
            "capacity": CAPACITY, "used": CAPACITY, "unavailable_reason": "no executor", "hint": "Start one.",
        },
    ]
}  # fmt: skip
NODE = {
    "node": "n1", "incarnation": "in_x", "state": "ready", "draining": True, "last_seen": NOW, "version": "0.1.0",
    "backend": REPORT, "capacity": CAPACITY, "used": CAPACITY, "cached_images": [],
}  # fmt: skip
KEY = {"id": "abc", "tenant": "default", "role": "writer", "name": "ci", "created_at": NOW}
NOTHING = {"p50": None, "p95": None, "p99": None}
STATS = {
    "window_s": 3600.0,
    "backends": [
        {
            "backend": "v8", "pending": 0, "running": 1, "completed": 5, "failed": 2, "killed": 0,
            "reasons": {"timed_out": 2}, "total_ms": {"p50": 12.0, "p95": 20.0, "p99": None},
            "run_ms": NOTHING, "sandbox_ready_ms": NOTHING,
        }
    ],
    "waiting": 0,
    "running": 1,
}  # fmt: skip
TENANT = {"id": "acme", "quotas": {"max_running": 5}}
WHO = {"key_id": "abc", "tenant": "default", "role": "admin", "name": ""}
REBUILD = {"id": "rq_1", "state": "waiting", "requested_at": NOW}


def everything(server: HttpServer) -> None:
    """Every call has an answer."""
    view = document(workload(labels={"team": "x"}, message="well\x1b[2Jdone", reason=Reason.TIMED_OUT, state="failed"))
    artifact = {"name": "out/a.txt", "size_bytes": 5, "sha256": hashlib.sha256(b"hello").hexdigest()}
    log_line = line(1, "hello")[2]
    server.on("GET", "/v1/workloads", as_json({"items": [view], "next_cursor": None, "has_more": False}))
    server.on("GET", ONE, as_json(view))
    server.on("POST", f"{ONE}/kill", as_json(view))
    server.on("DELETE", ONE, Answer(204))
    server.on("GET", f"{ONE}/logs", as_json({"items": [log_line], "next_cursor": None, "has_more": False}))
    events = [event(1, "submitted")[2], event(2, "failed", outcome={"reason": "timed_out", "message": "slow"})[2]]
    server.on("GET", f"{ONE}/events", as_json({"items": events, "next_cursor": None, "has_more": False}))
    server.on("GET", f"{ONE}/artifacts", as_json({"items": [artifact]}))
    server.on("GET", f"{ONE}/artifacts/out/a.txt", Answer(200, b"hello"))
    server.on("GET", "/v1/backends", as_json(BACKENDS))
    server.on("GET", "/v1/nodes", as_json({"items": [NODE]}))
    server.on("POST", "/v1/nodes/n1/drain", as_json(NODE))
    server.on("GET", "/v1/stats", as_json(STATS))
    server.on("GET", "/v1/keys", as_json({"items": [KEY]}))
    server.on("POST", "/v1/keys", as_json(KEY | {"key": "vk_shown_once"}, 201))
    server.on("DELETE", "/v1/keys/abc", Answer(204))
    server.on("GET", "/v1/tenants", as_json({"items": [TENANT]}))
    server.on("GET", "/v1/tenants/acme", as_json(TENANT))
    server.on("PUT", "/v1/tenants/acme", as_json(TENANT))
    server.on("GET", "/v1/whoami", as_json(WHO))
    server.on("POST", "/v1/admin/rebuild", as_json(REBUILD, 202))


COMMANDS = [
    ("ls", "team=x"),
    (f"status {WORKLOAD}", "timed_out"),
    (f"kill {WORKLOAD}", WORKLOAD),
    (f"rm {WORKLOAD}", WORKLOAD),
    (f"logs {WORKLOAD}", "hello"),
    (f"events {WORKLOAD}", "timed_out: slow"),
    (f"artifacts {WORKLOAD}", "out/a.txt"),
    ("backends", "no cgroup"),
    ("nodes", "draining"),
    ("nodes ls", "draining"),
    ("nodes drain n1", "no new work"),
    ("nodes undrain n1", "again"),
    ("stats --window 1h", "timed_out 2"),
    ("keys", "ci"),
    ("keys ls", "ci"),
    ("keys create --role reader --name ci", "vk_shown_once"),
    ("keys revoke abc", "abc"),
    ("tenants", "acme"),
    ("tenants show acme", "acme"),
    ("tenants set acme --max-running 5 --weight 2 --log-retention-days 7", "acme"),
    ("doctor", "admin of tenant default"),
    ("admin rebuild", "rq_1"),
    ("completion bash", "vulcan"),
]


@pytest.mark.parametrize(("words", "says"), COMMANDS)
def test_every_command_speaks_to_people(server: HttpServer, vulcan: Vulcan, words: str, says: str) -> None:
    everything(server)
    result = vulcan(*words.split())
    assert (result.code, result.err.strip("\n").count("\n")) in ((0, 0), (1, 0)), result
    assert says in result.out
    assert "\x1b" not in result.out


@pytest.mark.parametrize("words", [words for words, _ in COMMANDS])
def test_every_command_speaks_json(server: HttpServer, vulcan: Vulcan, words: str) -> None:
    everything(server)
    result = vulcan(*words.split(), "--json")
    assert result.err == ""
    for document_line in result.out.splitlines():
        json.loads(document_line)
    assert result.out


@pytest.mark.parametrize("words", [words for words, _ in COMMANDS if not words.startswith(("doctor", "completion"))])
def test_every_command_fails_clearly(server: HttpServer, vulcan: Vulcan, words: str) -> None:
    result = vulcan(*words.split(), "--json")
    assert (result.code, result.out) == (125, "")
    assert json.loads(result.err)["code"] == "not_found"
    assert vulcan(*words.split()).err == "vulcan: not_found\n"


def test_every_command_is_tried_here() -> None:
    tried = {words.split()[0] for words, _ in COMMANDS}
    assert tried | {"run", "replay", "up", "--help", "-h", "--version"} == set(app)


@pytest.mark.parametrize("name", sorted(set(app) - {"--help", "-h", "--version"}))
def test_every_command_has_help(vulcan: Vulcan, name: str) -> None:
    result = vulcan(name, "--help")
    assert result.code == 0
    assert result.out.startswith(f"Usage: vulcan {name}")


def test_nobody_there(vulcan: Vulcan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VULCAN_URL", "http://127.0.0.1:9")
    result = vulcan("ls")
    assert result.code == 125
    assert "Vulcan is not running at http://127.0.0.1:9" in result.err
    assert "vulcan up" in result.err


def test_ls_filters_on_the_server(server: HttpServer, vulcan: Vulcan) -> None:
    everything(server)
    options = "--state failed --reason timed_out --label a=b --label c=d --since 2026-01-31T12:00Z --text x -n 3"
    vulcan("ls", *options.split())
    assert server.asked[0].query == {
        "state": ["failed"],
        "reason": ["timed_out"],
        "label": ["a=b", "c=d"],
        "submitted_after": ["2026-01-31T12:00:00+00:00"],
        "text": ["x"],
        "limit": ["4"],
    }


def test_ls_says_when_there_are_more(server: HttpServer, vulcan: Vulcan) -> None:
    items = [document(workload()) | {"id": f"wl_{n}"} for n in range(3)]
    server.on("GET", "/v1/workloads", as_json({"items": items, "next_cursor": "c", "has_more": True}))
    assert vulcan("ls", "-q", "-n", "2").out == "wl_0\nwl_1\n"
    assert "there are more" in vulcan("ls", "-n", "2").err
    assert json.loads(vulcan("ls", "-n", "2", "--json").out)["has_more"] is True


def test_logs_follow_filter_and_tail(server: HttpServer, vulcan: Vulcan) -> None:
    server.on("GET", f"{ONE}/logs", sse(line(8, "a", "stderr"), line(9, "b"), done(9)))
    result = vulcan("logs", WORKLOAD, "-f", "--tail", "2", "-t")
    assert result == (0, "2026-01-31T12:00:00.000Z b\n", "2026-01-31T12:00:00.000Z a\n")
    assert server.asked[0].query == {"tail": ["2"]}


def test_the_tail_of_what_matches(server: HttpServer, vulcan: Vulcan) -> None:
    items = [line(n)[2] for n in (3, 5, 9)]
    server.on("GET", f"{ONE}/logs", as_json({"items": items, "next_cursor": None, "has_more": False}))
    assert vulcan("logs", WORKLOAD, "--grep", "line", "--tail", "2").out == "line 5\nline 9\n"
    assert vulcan("logs", WORKLOAD, "--grep", "line", "--tail", "0").out == ""
    assert "tail" not in server.asked[0].query


def test_events_of_all(server: HttpServer, vulcan: Vulcan) -> None:
    server.on("GET", "/v1/events", sse(event(1, "failed")), problem(403, "forbidden"))
    result = vulcan("events", "--type", "failed")
    assert result.code == 125
    assert WORKLOAD in result.out
    assert server.asked[0].query == {"type": ["failed"]}


def test_kill_goes_on_after_a_failure(server: HttpServer, vulcan: Vulcan) -> None:
    everything(server)
    result = vulcan("kill", "wl_unknown", WORKLOAD)
    assert (result.code, result.out) == (125, f"{WORKLOAD}\n")
    assert "not_found" in result.err


def test_artifacts_are_downloaded_and_checked(server: HttpServer, vulcan: Vulcan, tmp_path: Path) -> None:
    everything(server)
    target = tmp_path / "kept" / "out" / "a.txt"
    result = vulcan("artifacts", WORKLOAD, "-d", "-o", str(tmp_path / "kept"))
    assert result == (0, f"{target}\n", "")
    assert target.read_text() == "hello"
    assert "is there already" in vulcan("artifacts", WORKLOAD, "-d", "-o", str(tmp_path / "kept")).err
    assert vulcan("artifacts", WORKLOAD, "out/a.txt", "--force", "-o", str(tmp_path / "kept")).code == 0
    assert os.listdir(target.parent) == ["a.txt"]  # noqa: PTH208 - names only


def test_a_damaged_artifact_is_not_kept(server: HttpServer, vulcan: Vulcan, tmp_path: Path) -> None:
    server.on("GET", f"{ONE}/artifacts/out/a.txt", Answer(200, b"hellO"))
    everything(server)
    server.on("GET", f"{ONE}/artifacts", as_json({"items": [{"name": "a", "size_bytes": 1, "sha256": "0" * 64}]}))
    result = vulcan("artifacts", WORKLOAD, "out/a.txt", "-o", str(tmp_path))
    assert (result.code, os.listdir(tmp_path / "out")) == (125, [])  # noqa: PTH208 - names only
    assert "damaged" in result.err


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a/../../evil"])
def test_an_artifact_cannot_leave_the_folder(server: HttpServer, vulcan: Vulcan, tmp_path: Path, name: str) -> None:
    server.on("GET", f"{ONE}/artifacts", as_json({"items": [{"name": name, "size_bytes": 1, "sha256": "0" * 64}]}))
    result = vulcan("artifacts", WORKLOAD, "-d", "-o", str(tmp_path))
    assert result.code == 125
    assert "refusing" in result.err
    assert len(server.asked) == 1


def test_an_artifact_to_stdout(server: HttpServer, start: Any) -> None:
    everything(server)
    process = start("artifacts", WORKLOAD, "out/a.txt", "-o", "-")
    assert process.communicate(timeout=60) == ("hello", "")


def test_doctor_finds_what_is_wrong(server: HttpServer, vulcan: Vulcan, monkeypatch: pytest.MonkeyPatch) -> None:
    server.on("GET", "/v1/whoami", problem(401, "unauthorized", detail="This key does not exist."))
    result = vulcan("doctor")
    assert result.code == 1
    assert "FAILED   key: This key does not exist." in result.out
    monkeypatch.delenv("VULCAN_API_KEY")
    assert "no API key was found" in vulcan("doctor").out
    monkeypatch.setenv("VULCAN_URL", "nonsense")
    assert "FAILED   configuration" in vulcan("doctor").out


def test_doctor_passes_on_warnings(server: HttpServer, vulcan: Vulcan) -> None:
    everything(server)
    result = vulcan("doctor", "--json")
    checks = {(check["name"], check["result"]) for check in json.loads(result.out)["checks"]}
    assert {
        ("backend v8", "ok"),
        ("backend v8", "warning"),
        ("backend gvisor", "warning"),
        ("node n1", "warning"),
    } < checks


def test_tables_are_not_cut_when_piped(server: HttpServer, vulcan: Vulcan) -> None:
    view = document(workload(labels={"l": "x" * 300}))
    server.on("GET", "/v1/workloads", as_json({"items": [view], "next_cursor": None, "has_more": False}))
    assert "x" * 300 in vulcan("ls").out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_scripts(vulcan: Vulcan, shell: str, tmp_path: Path) -> None:
    result = vulcan("completion", shell)
    assert result.code == 0
    assert "artifacts" in result.out
    (tmp_path / "script").write_text(result.out)
    if (interpreter := shutil.which(shell)) is not None:
        subprocess.run([interpreter, "-n", str(tmp_path / "script")], check=True)


def test_the_version(vulcan: Vulcan) -> None:
    assert vulcan("--version").out == "vulcan 0.1.0\n"


def test_help_imports_neither_http_nor_the_stack() -> None:
    """What keeps `vulcan --help` quick."""
    code = (
        "import sys\nfrom vulcan_cli.main import run\nrun(['--help'])\n"
        "heavy = {'httpx', 'asyncio', 'ssl', 'vulcan_local', 'vulcan_sdk.client'} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_wide_characters_keep_the_columns(server: HttpServer, vulcan: Vulcan) -> None:
    keys = [KEY | {"name": "漢字"}, KEY | {"name": "ascii"}]
    server.on("GET", "/v1/keys", as_json({"items": keys}))
    header, wide, narrow = vulcan("keys").out.splitlines()
    column = header.index("CREATED")
    assert [line[at - 1] + line[at] for line, at in ((narrow, column), (wide, column - 2))] == [
        " " + narrow[column]
    ] * 2
    assert narrow[column:].endswith(" ago")


def test_a_stack_that_does_not_start(vulcan: Vulcan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.delenv("VULCAN_API_KEY")
    result = vulcan("up", "--data-dir", str(tmp_path / "file"), "--json")
    assert result.code == 1
    assert json.loads(result.err)["code"] == "cli_error"
