"""The `vulcan` command against the real stack, as a person uses it."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

from support.stack import Stack, Vulcan


def test_run_inline(vulcan: Vulcan) -> None:
    done = vulcan("run", "-e", "console.log('hi'); console.error('warn')")
    assert (done.returncode, done.stdout) == (0, "hi\n")
    assert "warn" in done.stderr


def test_run_gives_the_workloads_exit_code(vulcan: Vulcan) -> None:
    assert vulcan("run", "-e", "Deno.exit(7)").returncode == 7


def test_run_a_file_with_arguments_env_and_stdin(vulcan: Vulcan, tmp_path: Path) -> None:
    script = tmp_path / "main.ts"
    script.write_text("console.log(Deno.args, Deno.env.get('A'), await new Response(Deno.stdin.readable).text());")
    done = vulcan("run", str(script), "--env", "A=b", "--stdin", "-", "--", "x", "--y", stdin="typed")
    assert done.stdout == '[ "x", "--y" ] b typed\n', done.stderr


def test_run_a_folder(vulcan: Vulcan, tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "main.ts").write_text("import { a } from './lib/a.ts'; console.log(a);")
    (tmp_path / "lib/a.ts").write_text("export const a: string = 'from a folder';")
    done = vulcan("run", str(tmp_path))
    assert done.stdout == "from a folder\n", done.stderr


def test_code_from_stdin(vulcan: Vulcan) -> None:
    done = vulcan("run", "--runtime", "typescript", "-", stdin="console.log(1 + 1 as number)")
    assert done.stdout == "2\n", done.stderr


def test_a_detached_run_and_its_life(vulcan: Vulcan) -> None:
    code = "console.log('one'); console.error('two'); setInterval(() => {}, 1000)"
    started = vulcan("run", "-d", "--json", "--label", "team=x", "-e", code, "--timeout", "60")
    assert started.returncode == 0, started.stderr
    workload = json.loads(started.stdout)["id"]
    deadline = time.monotonic() + 20
    while "one" not in vulcan("logs", workload).stdout:
        assert time.monotonic() < deadline
    listed = json.loads(vulcan("ls", "--json", "--label", "team=x").stdout)
    assert workload in str(listed)
    assert vulcan("kill", workload).returncode == 0
    while json.loads(vulcan("status", "--json", workload).stdout)["state"] != "killed":
        assert time.monotonic() < deadline
    assert vulcan("logs", "--stream", "stdout", workload).stdout == "one\n"
    assert "killed" in vulcan("events", workload).stdout
    assert vulcan("rm", workload).returncode == 0


def test_following_logs_ends_with_the_workload(vulcan: Vulcan) -> None:
    code = "for (let i = 0; i < 5; i++) { console.log(i); await new Promise((r) => setTimeout(r, 100)); }"
    workload = json.loads(vulcan("run", "-d", "--json", "-e", code).stdout)["id"]
    assert vulcan("logs", "-f", "--stream", "stdout", workload).stdout == "0\n1\n2\n3\n4\n"


def test_ctrl_c_kills_the_workload(stack: Stack, vulcan: Vulcan) -> None:
    environment = {"VULCAN_URL": stack.url, "VULCAN_API_KEY": stack.key, "PATH": "/usr/bin:/bin", "HOME": "/tmp"}
    command = [str(Path(sys.executable).parent / "vulcan"), "run", "--timeout", "60", "--label", "test=ctrl-c", "-e"]
    code = "console.log('up'); for (;;) {}"
    with subprocess.Popen([*command, code], stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGINT)
        try:
            assert process.wait(30) == 130
        finally:
            process.kill()
    deadline = time.monotonic() + 20
    while '"killed"' not in vulcan("ls", "--json", "--label", "test=ctrl-c").stdout:
        assert time.monotonic() < deadline


def test_every_listing_speaks_json(vulcan: Vulcan) -> None:
    for command in ("ls", "backends", "nodes", "stats", "keys", "doctor"):
        done = vulcan(command, "--json") if command != "keys" else vulcan("keys", "ls", "--json")
        assert done.returncode == 0, (command, done.stderr)
        json.loads(done.stdout)


def test_errors_say_what_to_do(vulcan: Vulcan) -> None:
    nobody = vulcan("ls", env={"VULCAN_URL": "http://127.0.0.1:9"})
    assert nobody.returncode == 125
    assert "vulcan up" in nobody.stderr
    assert "Traceback" not in nobody.stderr
    refused = vulcan("status", "wl_01arz3ndektsv4rrffq69g5fav", "--json")
    assert refused.returncode == 125
    assert json.loads(refused.stderr or refused.stdout)["code"] == "not_found"
    wrong_key = vulcan("ls", env={"VULCAN_API_KEY": "vk_wrong"})
    assert wrong_key.returncode == 125
    assert "key" in wrong_key.stderr.lower()


def test_completion(vulcan: Vulcan) -> None:
    for shell in ("bash", "zsh", "fish"):
        assert "vulcan" in vulcan("completion", shell).stdout
