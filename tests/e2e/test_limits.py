"""Each limit ends a run with its own reason, and only that run."""

import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

Run = Callable[..., dict[str, Any]]

HOSTILE: dict[str, tuple[str, dict[str, Any], str]] = {
    "endless loop": ("for (;;) {}", {"timeout_s": 1}, "timed_out"),
    "waits for ever": ("setInterval(() => {}, 1000);", {"timeout_s": 1}, "timed_out"),
    "CPU time": ("for (;;) {}", {"timeout_s": 20, "resources": {"cpu_time_s": 0.5}}, "cpu_limit"),
    "heap": ("const a = []; for (;;) a.push({ n: a.length });", {"resources": {"memory_mb": 64}}, "out_of_memory"),
    "array buffers": (
        "const a = []; for (;;) a.push(new Uint8Array(8 << 20).fill(1));",
        {"resources": {"memory_mb": 64}},
        "out_of_memory",
    ),
    "endless output": ("for (;;) console.log('x'.repeat(1000));", {"resources": {"output_mb": 1}}, "output_limit"),
    "a result too large": ("export default () => 'x'.repeat(4 << 20);", {}, "output_limit"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_the_reason_fits(run: Run, name: str) -> None:
    code, spec, reason = HOSTILE[name]
    started = time.monotonic()
    neighbour: dict[str, Any] = {}
    beside = threading.Thread(target=lambda: neighbour.update(run("console.log('unhurt')")))
    beside.start()
    view = run(code, **spec)
    beside.join()
    assert (view["state"], view["reason"]) == ("failed", reason), view
    assert view["message"]
    assert time.monotonic() - started < 40
    assert neighbour["stdout"] == "unhurt\n"


def test_kill_ends_a_running_workload(api: httpx.Client) -> None:
    body = {
        "source": {"type": "inline", "code": "console.log('up'); for (;;) {}"},
        "runtime": "javascript",
        "timeout_s": 60,
    }
    accepted = api.post("/v1/workloads/async", json=body)
    assert accepted.status_code == 202
    where = accepted.headers["location"]
    wait_for(lambda: "up" in api.get(where).json()["stdout"])
    assert api.post(f"{where}/kill").status_code in (200, 202)
    wait_for(lambda: api.get(where).json()["state"] == "killed")
    view = api.get(where).json()
    assert (view["reason"], view["stdout"]) == ("killed_by_user", "up\n")
    assert api.post(f"{where}/kill").status_code in (200, 202)


def test_what_a_program_may_not_do(run: Run) -> None:
    code = """
    const attempts = {
      file: () => Deno.readTextFile("/etc/passwd"),
      list: async () => { for await (const _ of Deno.readDir("/")) return "listed"; },
      write: () => Deno.writeTextFile("/tmp/x", "x"),
      environment: async () => { if (Object.keys(Deno.env.toObject()).length === 0) throw new Error("empty"); },
      network: () => fetch("http://127.0.0.1:8080/healthz"),
      socket: () => Deno.connect({ hostname: "127.0.0.1", port: 22 }),
      subprocess: () => new Deno.Command("/bin/sh").output(),
      ffi: async () => Deno.dlopen("/lib/x86_64-linux-gnu/libc.so.6", {}),
      npm: () => import("npm:left-pad"),
      remote: () => import("https://example.com/x.js"),
      node_fs: async () => (await import("node:fs")).readFileSync("/etc/passwd", "utf8"),
      node_child: async () => (await import("node:child_process")).execSync("id"),
    };
    const allowed = [];
    for (const [name, attempt] of Object.entries(attempts)) {
      try { await attempt(); allowed.push(name); } catch { /* refused, as it should be */ }
    }
    console.log(JSON.stringify(allowed));
    """
    assert run(code, runtime="javascript")["stdout"] == "[]\n"


def wait_for(condition: Callable[[], bool], timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "gave up waiting"
        time.sleep(0.05)
