"""The command through the whole path: gateway, log, scheduler, executor, projections. Only the sandbox is a fake."""

import json
import signal
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.platform import Platform
from vulcan_sdk import ApiError, Vulcan

Call = Callable[..., "subprocess.CompletedProcess[str]"]
Start = Callable[..., "subprocess.Popen[str]"]


def told(result: "subprocess.CompletedProcess[str]") -> tuple[int, str, str]:
    return result.returncode, result.stdout, result.stderr


def test_a_run_prints_and_ends_as_the_program_does(vulcan: Call) -> None:
    code = "print one\nerror two\nprint three\nexit 7"
    assert told(vulcan("run", "-e", code)) == (7, "one\nthree\n", "two\n")


def test_output_without_a_line_end_is_not_given_one(vulcan: Call) -> None:
    assert vulcan("run", "-e", f"write {b'no end'.hex()}").stdout == "no end"


def test_what_a_program_is_given(vulcan: Call, tmp_path: Path) -> None:
    (tmp_path / "main.js").write_text("stdin\nargs\nenv COLOUR\nfile out/a.txt kept\nresult '{\"n\": 1}'")
    words = ["run", "--stdin", "-", "--env", "COLOUR=blå", "--artifact", "out/*", "main.js", "a b", "--", "--c"]
    result = vulcan(*words, stdin="héllo\n")
    assert told(result) == (0, 'héllo\na b\n--c\nblå\n{"n":1}\n', "")
    workload = vulcan("ls", "-q", "-n", "1").stdout.strip()
    assert vulcan("artifacts", workload, "-d", "-o", "kept").stdout == "kept/out/a.txt\n"
    assert (tmp_path / "kept" / "out" / "a.txt").read_text() == "kept"


def test_a_folder_and_an_archive(vulcan: Call, tmp_path: Path) -> None:
    project = tmp_path / "project"
    (project / "lib").mkdir(parents=True)
    (project / "node_modules").mkdir()
    (project / "main.js").write_text("include lib/other.js")
    (project / "lib" / "other.js").write_text("print from the other file")
    assert told(vulcan("run", "project")) == (0, "from the other file\n", "")
    with tarfile.open(tmp_path / "p.tar.gz", "w:gz") as tar:
        tar.add(project, ".")
    assert told(vulcan("run", "p.tar.gz")) == (0, "from the other file\n", "")


def test_many_lines_come_once_and_in_order(vulcan: Call) -> None:
    result = vulcan("run", "--timeout", "60", "-e", "count 20000")
    assert result.returncode == 0
    first = result.stdout.splitlines()[0].rstrip("1")
    assert result.stdout == "".join(f"{first}{n}\n" for n in range(1, 20_001))


def test_a_gateway_that_is_killed_meanwhile_loses_nothing(platform: Platform, start: Start) -> None:
    lines = "\n".join(f"print line {n}\nsleep 0.02" for n in range(200))
    process = start("run", "--timeout", "120", "-e", f"{lines}\nexit 5")
    assert process.stdout is not None
    assert process.stdout.readline() == "line 0\n"
    for _ in range(2):
        platform.kill("vulcan_gateway")
        platform.start("vulcan_gateway")
        platform.wait_until_ready()
    rest = process.stdout.read()  # not communicate(), which passes over what readline() has read ahead
    assert (process.wait(60), rest) == (5, "".join(f"line {n}\n" for n in range(1, 200)))


def test_ctrl_c_kills_the_workload(start: Start, client: Vulcan) -> None:
    process = start("run", "--label", "test=interrupt", "-e", "print up\nhang")
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    workload = next(word for word in err.replace(";", " ").split() if word.startswith("wl_"))
    assert (client.get(workload).state, client.get(workload).reason) == ("killed", "killed_by_user")


def test_limits_have_their_exit_codes(vulcan: Call) -> None:
    result = vulcan("run", "--timeout", "0.5", "-e", "print up\nhang")
    assert (result.returncode, result.stdout) == (124, "up\n")
    assert "timed_out" in result.stderr
    assert vulcan("run", "-e", "limit out_of_memory 'took too much'").returncode == 137


def test_one_key_is_one_workload(vulcan: Call) -> None:
    words = ["run", "-d", "--idempotency-key", "order-1", "-e"]
    first, again = vulcan(*words, "print 1").stdout, vulcan(*words, "print 1").stdout
    assert first == again != ""
    clash = vulcan(*words, "print 2", "--json")
    assert (clash.returncode, json.loads(clash.stderr)["code"]) == (125, "idempotency_mismatch")


def test_a_workload_from_all_sides(vulcan: Call, start: Start, client: Vulcan) -> None:
    workload = vulcan("run", "-d", "--label", "side=all", "-e", "print a\nerror b\nprint c").stdout.strip()
    assert vulcan("status", workload, "--wait").returncode == 0
    assert vulcan("logs", workload, "-f").stdout == "a\nc\n"
    assert vulcan("logs", workload, "--stream", "stderr").stderr == "b\n"
    assert vulcan("logs", workload, "--tail", "1").stdout == "c\n"
    assert vulcan("logs", workload, "--grep", "a").stdout == "a\n"
    assert vulcan("logs", workload, "--since", "1h").stdout == "a\nc\n"
    assert vulcan("logs", workload, "--since", "2999-01-01").stdout == ""
    lines = [json.loads(line) for line in vulcan("logs", workload, "--json").stdout.splitlines()]
    assert [(line["stream"], line["text"]) for line in lines if line["stream"] != "system"] == [
        ("stdout", "a"),
        ("stderr", "b"),
        ("stdout", "c"),
    ]
    types = [json.loads(line)["type"] for line in vulcan("events", workload, "--json").stdout.splitlines()]
    assert types == ["submitted", "scheduled", "started", "completed"]
    assert [event.type for event in client.follow_events(workload)] == types
    assert vulcan("replay", workload).stdout == "a\nc\n"
    assert vulcan("kill", workload).returncode == 0
    assert vulcan("rm", workload).stdout == f"{workload}\n"
    assert json.loads(vulcan("status", workload, "--json").stdout)["deleted"] is True


def test_lists_find_it(vulcan: Call) -> None:
    workload = vulcan("run", "-d", "--label", "list=me", "-e", "exit 3").stdout.strip()
    vulcan("status", workload, "--wait")
    items: list[dict[str, Any]] = []
    while not items:  # until it is projected, as long as a test may take
        items = json.loads(vulcan("ls", "--label", "list=me", "--state", "failed", "--json").stdout)["items"]
    assert [(item["id"], item["exit_code"]) for item in items] == [(workload, 3)]
    assert vulcan("ls", "--reason", "exit_nonzero", "--text", workload, "-q").stdout == f"{workload}\n"
    assert "exit_nonzero" in vulcan("stats").stdout


def test_the_cluster(vulcan: Call) -> None:
    assert "fake" in vulcan("backends").stdout
    assert "fake-1" in vulcan("nodes").stdout
    assert vulcan("nodes", "drain", "fake-1").returncode == 0
    assert "draining" in vulcan("nodes").stdout
    assert vulcan("nodes", "undrain", "fake-1").returncode == 0
    assert vulcan("doctor").returncode == 0


def test_keys_and_tenants(vulcan: Call, platform: Platform) -> None:
    made = json.loads(vulcan("keys", "create", "--role", "reader", "--name", "eyes", "--json").stdout)
    with Vulcan(platform.url, made["key"], environ={}) as reader:
        assert (reader.whoami().role, reader.whoami().name) == ("reader", "eyes")
        with pytest.raises(ApiError) as caught:
            reader.kill("wl_01arz3ndektsv4rrffq69g5fav")
        assert caught.value.code == "forbidden"
        assert "eyes" in vulcan("keys").stdout
        assert vulcan("keys", "revoke", made["id"]).returncode == 0
        with pytest.raises(ApiError) as caught:
            reader.whoami()
        assert caught.value.code == "unauthorized"
    vulcan("tenants", "set", "acme", "--max-running", "5", "--log-retention-days", "3")
    stored = json.loads(vulcan("tenants", "show", "acme", "--json").stdout)
    assert stored == {"id": "acme", "quotas": {"max_running": 5, "weight": 1.0}, "log_retention_days": 3}
    assert "acme" in vulcan("tenants").stdout


def test_a_rebuild(vulcan: Call) -> None:
    before = vulcan("ls", "-q", "-n", "500").stdout
    result = vulcan("admin", "rebuild", "--wait", "--json")
    assert json.loads(result.stdout)["state"] == "done", result
    assert vulcan("ls", "-q", "-n", "500").stdout == before


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["status", "wl_01arz3ndektsv4rrffq69g5fav"], "not_found"),
        (["logs", "nonsense"], "not_found"),
        (["logs", "-f", "nonsense"], "not_found"),
        (["run", "-e", "1", "--isolation", "gvisor"], "backend_unavailable"),
        (["run", "-e", "1", "--cpus", "-1"], "invalid_spec"),
        (["run", "-e", "1", "--isolation", "v8", "--runtime", "go"], "invalid_spec"),
        (["run", "-e", "1", "--idempotency-key", "with space"], "invalid_idempotency_key"),
        (["nodes", "drain", "nobody"], "not_found"),
        (["ls", "--label", "=x"], "usage"),
    ],
)
def test_refusals_are_problems(vulcan: Call, words: list[str], code: str) -> None:
    result = vulcan(*words, "--json")
    problem: dict[str, Any] = json.loads(result.stderr)
    assert (result.returncode, result.stdout, problem["code"]) == (2 if code == "usage" else 125, "", code)


def test_a_wrong_key_says_so(start: Start, platform: Platform, tmp_path: Path) -> None:
    process = start("ls", env={"VULCAN_URL": platform.url, "VULCAN_API_KEY": "vk_wrong", "HOME": str(tmp_path)})
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (125, "")
    assert err.startswith("vulcan: ")
    assert "Traceback" not in err
