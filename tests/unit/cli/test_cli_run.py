"""`vulcan run`: what it submits, what it prints, how it ends."""

import io
import json
import os
import pty
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.http_server import Asked, Chunks, HttpServer, as_json, problem, sse
from support.views import WORKLOAD, document, done, event, line, workload
from vulcan_contracts.reasons import Reason

Vulcan = Callable[..., Any]
Start = Callable[..., "subprocess.Popen[str]"]

ONE = f"/v1/workloads/{WORKLOAD}"
SUBMIT = "/v1/workloads/async"


def accept(server: HttpServer, *messages: Any, **end: Any) -> None:
    """A run that prints these lines and ends like this."""
    server.on("POST", SUBMIT, as_json(document(workload(state="pending")), 202))
    server.on("GET", f"{ONE}/logs", sse(*messages, done(len(messages))))
    server.on("GET", ONE, as_json(document(workload(**end))))


def submitted(server: HttpServer) -> dict[str, Any]:
    spec: dict[str, Any] = json.loads(server.to("POST", SUBMIT)[0].body)
    return spec


def test_output_goes_where_it_belongs(server: HttpServer, vulcan: Vulcan) -> None:
    accept(
        server,
        line(1, "out"),
        line(2, "err", "stderr"),
        line(3, "isolation v8", "system"),
        line(4, "half ", partial=True),
        line(5, "whole\tünï\x1b[1m"),
        line(6, "no end", partial=True),
    )
    assert vulcan("run", "-e", "1") == (0, "out\nhalf whole\tünï\x1b[1m\nno end", "err\n")


def test_the_platforms_own_lines_on_request(server: HttpServer, vulcan: Vulcan) -> None:
    accept(server, line(1, "isolation v8", "system"), line(2, "out"))
    result = vulcan("run", "-v", "-e", "1")
    assert result.out == "out\n"
    assert "vulcan: isolation v8\n" in result.err


@pytest.mark.parametrize(
    ("end", "code", "says"),
    [
        ({"state": "failed", "reason": Reason.EXIT_NONZERO, "exit_code": 7}, 7, ""),
        ({"state": "failed", "reason": Reason.TIMED_OUT, "message": "ran longer than 1 s"}, 124, "longer than 1 s"),
        ({"state": "killed", "reason": Reason.KILLED_BY_USER}, 137, "killed_by_user"),
        ({"state": "failed", "reason": Reason.EXECUTOR_LOST}, 125, "executor_lost"),
    ],
)
def test_the_exit_code_is_the_workloads(
    server: HttpServer, vulcan: Vulcan, end: dict[str, Any], code: int, says: str
) -> None:
    accept(server, **end)
    result = vulcan("run", "-e", "1")
    assert (result.code, result.out) == (code, "")
    assert says in result.err


def test_a_result_is_printed_as_json(server: HttpServer, vulcan: Vulcan) -> None:
    accept(server, line(1, "log"), result={"sum": 3, "text": "ü"})
    assert vulcan("run", "-e", "1").out == 'log\n{"sum":3,"text":"ü"}\n'


def test_every_option_reaches_the_spec(
    server: HttpServer, vulcan: Vulcan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept(server)
    monkeypatch.setenv("FROM_HERE", "yes")
    (tmp_path / "in.txt").write_text("héllo")
    (tmp_path / "a.py").write_text("print(1)")
    options = {
        "--timeout": "2m",
        "-m": "1g",
        "--cpus": "2",
        "--isolation": "gvisor",
        "--input": '{"n":1}',
        "--artifact": "out/*.png",
        "--retries": "2",
        "--priority": "-5",
        "--queue-ttl": "1h",
        "--idempotency-key": "k1",
        "--stdin": str(tmp_path / "in.txt"),
    }
    repeated = [
        ("--env", "A=1"),
        ("--env", "B=x=y"),
        ("--env", "FROM_HERE"),
        ("--label", "team=x"),
        ("--label", "n=1"),
        ("--egress", "api.example.com:443"),
        ("--egress", "*.example.org,10.0.0.0/8"),
    ]
    given = [word for option in (*options.items(), *repeated) for word in option]
    result = vulcan("run", *given, str(tmp_path / "a.py"), "one", "--", "--two")
    assert result.code == 0
    assert submitted(server) == {
        "source": {"type": "files", "files": {"a.py": "print(1)"}, "entrypoint": "a.py"},
        "runtime": "python",
        "isolation": "gvisor",
        "stdin": "héllo",
        "input": {"n": 1},
        "args": ["one", "--two"],
        "env": {"A": "1", "B": "x=y", "FROM_HERE": "yes"},
        "resources": {"cpus": 2.0, "memory_mb": 1024},
        "timeout_s": 120.0,
        "queue_ttl_s": 3600.0,
        "network": {"egress": "allow_list", "allow": ["api.example.com:443", "*.example.org", "10.0.0.0/8"]},
        "retry": {"max_attempts": 3, "on": ["executor_lost", "backend_error"]},
        "priority": -5,
        "labels": {"team": "x", "n": "1"},
        "artifacts": ["out/*.png"],
    }
    assert server.asked[0].headers["idempotency-key"] == "k1"


def test_code_on_the_command_line_leaves_all_words_to_the_program(server: HttpServer, vulcan: Vulcan) -> None:
    accept(server)
    vulcan("run", "-e", "-1", "a", "--", "-b", "-")
    assert submitted(server)["source"] == {"type": "inline", "code": "-1"}
    assert submitted(server)["args"] == ["a", "-b", "-"]


def test_code_from_stdin(server: HttpServer, vulcan: Vulcan, monkeypatch: pytest.MonkeyPatch) -> None:
    accept(server)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("#!/usr/bin/python3\nprint('ü')".encode())))
    assert vulcan("run", "-", "a").code == 0
    assert submitted(server)["source"]["code"] == "#!/usr/bin/python3\nprint('ü')"
    assert submitted(server)["runtime"] == "python"
    assert submitted(server)["args"] == ["a"]


def test_stdin_for_the_program(server: HttpServer, vulcan: Vulcan, monkeypatch: pytest.MonkeyPatch) -> None:
    accept(server)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"input")))
    vulcan("run", "-e", "1", "--stdin", "-")
    assert submitted(server)["stdin"] == "input"


def test_an_image_and_its_command(server: HttpServer, vulcan: Vulcan) -> None:
    accept(server)
    vulcan("run", "--image", "alpine:3", "echo", "--", "-n")
    assert submitted(server)["source"] == {"type": "image", "image": "alpine:3", "command": ["echo", "-n"]}


def test_a_folder(server: HttpServer, vulcan: Vulcan, tmp_path: Path) -> None:
    accept(server)
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "main.ts").write_text("1")
    assert vulcan("run", str(tmp_path / "p")).code == 0
    assert b'"entrypoint":"main.ts"' in server.asked[0].body


def test_detached(server: HttpServer, vulcan: Vulcan) -> None:
    accept(server)
    assert vulcan("run", "-d", "-e", "1") == (0, f"{WORKLOAD}\n", "")
    result = vulcan("run", "-d", "-e", "1", "--json")
    assert json.loads(result.out)["state"] == "pending"
    assert server.to("GET", f"{ONE}/logs") == []


def test_json_is_one_document_and_the_same_exit_code(server: HttpServer, vulcan: Vulcan) -> None:
    accept(server, state="failed", reason=Reason.EXIT_NONZERO, exit_code=3)
    server.on("GET", f"{ONE}/events", sse(event(1, "failed"), ("done", None, {})))
    result = vulcan("run", "--json", "-e", "1")
    assert (result.code, result.err) == (3, "")
    assert json.loads(result.out)["reason"] == "exit_nonzero"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["run"], "nothing to run"),
        (["run", "--bogus", "x"], "--bogus"),
        (["run", "x", "--isolation", "chroot"], "chroot"),
        (["run", "-e", "1", "--timeout", "soon"], "--timeout"),
        (["run", "-e", "1", "-m", "lots"], "--memory"),
        (["run", "-e", "1", "--env", "NOT_SET_ANYWHERE"], "no such variable"),
        (["run", "-e", "1", "--label", "x"], "NAME=VALUE"),
        (["run", "-e", "1", "--input", "{"], "not JSON"),
        (["run", "-e", "1", "--stdin", "/nope"], "No such file"),
        (["run", "-e", "1", "--egress", "all", "--egress", "x.example"], "stands alone"),
        (["run", "--image", "a", "-e", "1"], "does not go with"),
        (["run", "-", "--stdin", "-"], "both"),
    ],
)
def test_usage_errors(server: HttpServer, vulcan: Vulcan, words: list[str], says: str) -> None:
    result = vulcan(*words)
    assert (result.code, result.out) == (2, "")
    assert says in result.err
    assert "Traceback" not in result.err
    result = vulcan(*words, "--json")
    assert result.code == 2
    assert says in json.loads(result.err)["detail"]
    assert server.asked == []


def test_a_refusal_is_125_and_names_the_field(server: HttpServer, vulcan: Vulcan) -> None:
    wrong = {"field": "resources.cpus", "message": "is more than 64"}
    server.on("POST", SUBMIT, problem(422, "invalid_spec", detail="It cannot run.", hint="Less.", errors=[wrong]))
    result = vulcan("run", "-e", "1")
    assert result == (125, "", "vulcan: It cannot run.\n  resources.cpus: is more than 64\n  Less.\n")
    result = vulcan("run", "-e", "1", "--json")
    assert (result.code, json.loads(result.err)["errors"]) == (125, [wrong])


def test_replay_stays_with_the_new_one(server: HttpServer, vulcan: Vulcan) -> None:
    accept(server, line(1, "again"))
    server.on("POST", "/v1/workloads/wl_old/replay", as_json(document(workload(state="pending")), 202))
    assert vulcan("replay", "wl_old") == (0, "again\n", "")


class Endless:
    """A run that prints on and on until it is killed."""

    def __init__(self, server: HttpServer) -> None:
        self.printing = threading.Event()
        self.killed = threading.Event()
        server.on("POST", SUBMIT, as_json(document(workload(state="pending")), 202))
        server.on("GET", f"{ONE}/logs", lambda _: Chunks(self._lines(), {"content-type": "text/event-stream"}))
        server.on("POST", f"{ONE}/kill", self._kill)
        server.on("GET", f"{ONE}/events", sse(event(1, "killed"), ("done", None, {})))
        server.on("GET", ONE, as_json(document(workload(state="killed", reason=Reason.KILLED_BY_USER))))

    def _lines(self) -> Iterator[bytes]:
        number = 0
        while not self.killed.wait(0.01):
            number += 1
            data = json.dumps(line(number)[2])
            yield f"id: {number}\nevent: line\ndata: {data}\n\n".encode()
            self.printing.set()

    def _kill(self, _: Asked) -> Any:
        self.killed.set()
        return as_json(document(workload(state="running")), 202)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_kills_the_workload(server: HttpServer, start: Start, number: int, code: int) -> None:
    endless = Endless(server)
    process = start("run", "-e", "for (;;) {}")
    assert process.stdout is not None
    assert process.stdout.readline() == "line 1\n"
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert endless.killed.is_set()
    assert process.returncode == code
    assert WORKLOAD in err
    assert "Traceback" not in err


def test_a_second_interrupt_leaves_at_once(server: HttpServer, start: Start) -> None:
    endless = Endless(server)
    held = threading.Event()

    def hold() -> Iterator[bytes]:
        yield b": here\n\n"
        held.wait(60)

    server._scripts.pop(("GET", f"{ONE}/events"))
    server.on("GET", f"{ONE}/events", lambda _: Chunks(hold(), {"content-type": "text/event-stream"}))
    process = start("run", "-e", "for (;;) {}")
    assert process.stdout is not None
    assert process.stdout.readline() == "line 1\n"
    process.send_signal(signal.SIGINT)
    assert endless.killed.wait(60)
    while not server.to("GET", f"{ONE}/events"):
        pass
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=10)
    held.set()
    assert process.returncode == 130
    assert f"vulcan status {WORKLOAD}" in err


def test_a_reader_that_goes_away_ends_it_too(server: HttpServer, start: Start) -> None:
    endless = Endless(server)
    process = start("run", "-e", "for (;;) {}")
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == "line 1\n"
    process.stdout.close()
    err = process.stderr.read()
    assert process.wait(60) == 141
    assert endless.killed.is_set()
    assert err == ""


def test_lines_are_out_as_they_come(server: HttpServer, start: Start) -> None:
    """Nothing is held back until a buffer is full: the first line is read while the run goes on."""
    endless = Endless(server)
    process = start("run", "-e", "1")
    assert process.stdout is not None
    assert process.stdout.readline() == "line 1\n"
    assert not endless.killed.is_set()
    endless.killed.set()


def test_a_closed_stdin_does_no_harm(server: HttpServer, start: Start) -> None:
    accept(server, line(1, "ok"))
    process = start("run", "-e", "1", stdin=subprocess.DEVNULL)
    assert process.communicate(timeout=60) == ("ok\n", "")
    assert process.returncode == 0


def test_utf8_comes_out_in_any_locale(server: HttpServer, start: Start) -> None:
    accept(server, line(1, "żółw 🐢"))
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    process = start("run", "-e", "1", env=environment, encoding="utf-8")
    assert process.communicate(timeout=60)[0] == "żółw 🐢\n"


def test_what_is_not_utf8_is_refused(server: HttpServer, start: Start) -> None:
    process = start("run", "-e", "1", "--", b"\xff\xfe".decode("utf-8", "surrogateescape"))
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (125, "")
    assert "not UTF-8" in err
    assert server.asked == []


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_do_no_harm(server: HttpServer, closed: str) -> None:
    accept(server, line(1, "out"), line(2, "err", "stderr"), state="failed", reason=Reason.EXIT_NONZERO, exit_code=4)
    command = f"exec {Path(sys.executable).parent / 'vulcan'} run -e 1 {closed}"
    ended = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
    assert ended.returncode == 4
    assert "Traceback" not in ended.stderr


def test_a_terminal_gets_what_the_platform_says_dimmed(server: HttpServer, start: Start) -> None:
    accept(server, line(1, "isolation v8", "system"), line(2, "no end", partial=True))
    main, other = pty.openpty()
    process = start("run", "-e", "1", stdout=other, stderr=other)
    os.close(other)
    assert process.wait(60) == 0
    said = os.read(main, 10_000).decode()
    os.close(main)
    assert said == "\x1b[2mvulcan: isolation v8\x1b[0m\r\nno end\r\n"


def test_no_color_is_heeded(server: HttpServer, start: Start) -> None:
    accept(server, line(1, "isolation v8", "system"))
    main, other = pty.openpty()
    process = start("run", "-e", "1", stdout=other, stderr=other, env={**os.environ, "NO_COLOR": "1"})
    os.close(other)
    assert process.wait(60) == 0
    said = os.read(main, 10_000).decode()
    os.close(main)
    assert said == "vulcan: isolation v8\r\n"


def test_both_streams_in_one_pipe_that_closes(server: HttpServer, start: Start) -> None:
    endless = Endless(server)
    process = start("run", "-v", "-e", "for (;;) {}", stderr=subprocess.STDOUT)
    assert process.stdout is not None
    assert process.stdout.readline() == f"{WORKLOAD} submitted\n"
    process.stdout.close()
    assert process.wait(60) == 141
    assert endless.killed.is_set()
