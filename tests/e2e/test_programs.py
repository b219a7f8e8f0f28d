"""Real programs through the whole path: client, gateway, scheduler, executor, isolate, log store, client."""

import io
import json
import tarfile
import zipfile
from collections.abc import Callable
from typing import Any

import httpx
import pytest

Run = Callable[..., dict[str, Any]]


def archive(files: dict[str, str], kind: str) -> bytes:
    packed = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as bundle:
            for name, text in files.items():
                bundle.writestr(name, text)
    else:
        with tarfile.open(fileobj=packed, mode="w:gz") as tar:
            for name, text in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(text.encode())
                tar.addfile(info, io.BytesIO(text.encode()))
    return packed.getvalue()


PROJECT = {
    "main.ts": "import { greet } from './lib/greet.ts';\nimport words from './words.json' with { type: 'json' };\n"
    "console.log(greet(words.name));\n",
    "lib/greet.ts": "export const greet = (name: string): string => `hello, ${name}`;\n",
    "words.json": '{"name": "vulcan"}',
}


def test_typescript_prints(run: Run) -> None:
    view = run("const n: number = 6 * 7;\nconsole.log(n);")
    assert (view["state"], view["exit_code"], view["stdout"], view["stderr"]) == ("completed", 0, "42\n", "")
    assert view["backend"] == "v8"
    assert view["isolation_reason"]
    assert view["node"]
    assert view["timings"]["total_ms"] > 0
    assert view["usage"]["wall_ms"] > 0


def test_javascript_prints(run: Run) -> None:
    assert run("console.log([1, 2, 3].map((n) => n * n).join())", runtime="javascript")["stdout"] == "1,4,9\n"


def test_several_files(run: Run) -> None:
    view = run({"type": "files", "files": PROJECT, "entrypoint": "main.ts"})
    assert view["stdout"] == "hello, vulcan\n", view


@pytest.mark.parametrize("kind", ["tar.gz", "zip"])
def test_an_archive(api: httpx.Client, kind: str) -> None:
    spec = json.dumps({"source": {"type": "archive", "entrypoint": "main.ts"}})
    answer = api.post(
        "/v1/workloads",
        files={"spec": (None, spec, "application/json"), "archive": (f"p.{kind}", archive(PROJECT, kind))},
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["stdout"] == "hello, vulcan\n"


def test_json_in_and_out(run: Run) -> None:
    code = "export default async (input) => ({ sum: input.numbers.reduce((a, b) => a + b, 0), echo: input });"
    view = run(code, input={"numbers": [1, 2, 39], "text": "żółw 🐢"})
    assert view["result"] == {"sum": 42, "echo": {"numbers": [1, 2, 39], "text": "żółw 🐢"}}
    assert view["state"] == "completed"


def test_stdin_args_and_env(run: Run) -> None:
    code = """
    const text = await new Response(Deno.stdin.readable).text();
    console.log(text.toUpperCase(), Deno.args.join("+"), Deno.env.get("COLOUR"));
    """
    view = run(code, stdin="héllo\nworld", args=["a b", "c"], env={"COLOUR": "blå"})
    assert view["stdout"] == "HÉLLO\nWORLD a b+c blå\n", view


def test_artifacts_are_kept(run: Run, api: httpx.Client) -> None:
    code = (
        "await Vulcan.artifact('out/a.txt', 'hello'); await Vulcan.artifact('out/b.bin', new Uint8Array([0, 255, 10]));"
    )
    view = run(code, artifacts=["out/*"])
    assert view["state"] == "completed", view
    listed = api.get(f"/v1/workloads/{view['id']}/artifacts").json()
    names = {item["name"]: item["size_bytes"] for item in listed["items"]}
    assert names == {"out/a.txt": 5, "out/b.bin": 3}
    assert api.get(f"/v1/workloads/{view['id']}/artifacts/out/b.bin").content == b"\x00\xff\n"


def test_a_hundred_thousand_lines(run: Run, api: httpx.Client) -> None:
    view = run("for (let i = 1; i <= 100000; i++) console.log(`line ${i}`);", timeout_s=60)
    assert view["state"] == "completed", view["message"]
    assert view["stdout_truncated"]
    with api.stream("GET", f"/v1/workloads/{view['id']}/logs", params={"download": 1}) as answer:
        lines = [line for line in answer.iter_lines() if line.startswith("line ")]
    assert lines == [f"line {i}" for i in range(1, 100_001)]


def test_unicode_and_binary_output(run: Run) -> None:
    code = """
    await Deno.stdout.write(new TextEncoder().encode("ünï — 漢字 🐢\\n"));
    await Deno.stdout.write(new Uint8Array([0x61, 0xff, 0xfe, 0x00, 0x62, 0x0a]));
    """
    assert run(code)["stdout"] == "ünï — 漢字 🐢\na\ufffd\ufffd\ufffdb\n"


def test_output_without_a_line_end(run: Run) -> None:
    assert (
        run("await Deno.stdout.write(new TextEncoder().encode('no newline'));")["stdout"].rstrip("\n") == "no newline"
    )


def test_exit_codes(run: Run) -> None:
    view = run("console.log('before'); Deno.exit(7);")
    assert (view["state"], view["reason"], view["exit_code"], view["stdout"]) == (
        "failed",
        "exit_nonzero",
        7,
        "before\n",
    )


def test_an_uncaught_error(run: Run) -> None:
    view = run("function f() { throw new Error('boom'); }\nf();")
    assert (view["state"], view["reason"], view["exit_code"]) == ("failed", "exit_nonzero", 1)
    assert "boom" in view["stderr"]
    assert "main.ts:1" in view["stderr"]


def test_timers_keep_a_program_alive(run: Run) -> None:
    view = run("setTimeout(() => console.log('later'), 200); console.log('now');")
    assert view["stdout"] == "now\nlater\n"


def test_replay_runs_the_same_again(run: Run, api: httpx.Client) -> None:
    first = run("console.log(Deno.env.get('A'))", env={"A": "again"})
    answer = api.post(f"/v1/workloads/{first['id']}/replay", params={"wait": 30})
    assert answer.status_code in (200, 201, 202), answer.text
    second = answer.json()
    assert second["id"] != first["id"]
    assert second["replay_of"] == first["id"]


def test_the_history_of_a_workload(run: Run, api: httpx.Client) -> None:
    view = run("console.log(1)")
    events = api.get(f"/v1/workloads/{view['id']}/events").json()["items"]
    assert [event["type"] for event in events] == ["submitted", "scheduled", "started", "completed"]
    assert [event["version"] for event in events] == [1, 2, 3, 4]


def test_asking_for_a_backend_that_is_not_there(api: httpx.Client) -> None:
    body = {"source": {"type": "inline", "code": "print(1)"}, "runtime": "python"}
    answer = api.post("/v1/workloads", json=body)
    assert answer.status_code == 503
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert answer.json()["code"] == "backend_unavailable"
    assert answer.json()["hint"]


def test_the_same_idempotency_key_is_the_same_workload(api: httpx.Client) -> None:
    body = {"source": {"type": "inline", "code": "console.log(Math.random())"}, "runtime": "javascript"}
    headers = {"Idempotency-Key": "order-4711"}
    first = api.post("/v1/workloads", json=body, headers=headers).json()
    again = api.post("/v1/workloads", json=body, headers=headers).json()
    assert (again["id"], again["stdout"]) == (first["id"], first["stdout"])
    other = api.post("/v1/workloads", json=body | {"priority": 3}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")
