"""What code may not reach: files, processes, the network, other runs."""

import ipaddress
import json
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from support.hostile_attempts import every_attempt
from support.hostile_programs import FORGE
from support.neighbours import View
from support.stack import Stack

Run = Callable[..., View]


def test_nothing_that_is_forbidden_works(run: Run) -> None:
    view = run(every_attempt(), timeout_s=60, resources={"memory_mb": 512})
    assert view["reason"] is None, view
    assert json.loads(view["stdout"]) == []


def _ports(stack: Stack) -> list[int]:
    """Where the gateway, NATS and the services of the platform listen."""
    inodes = set()
    for pid in stack.pids().values():
        for link in Path(f"/proc/{pid}/fd").iterdir():
            try:
                inodes |= set(re.findall(r"socket:\[(\d+)\]", str(link.readlink())))
            except FileNotFoundError:  # closed meanwhile
                continue
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sorted({int(row[1].partition(":")[2], 16) for row in rows if row[3] == "0A" and row[9] in inodes})


def _addresses() -> list[str]:
    names = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, type=socket.SOCK_STREAM)}
    return sorted({str(ipaddress.ip_address(str(name).partition("%")[0])) for name in names})


REACH = """
const seen = [];
const { hosts, ports, tunnel, unknown } = Vulcan.input;
const refused = (host, status) => status === 403 || (unknown.includes(host) && status === 502);
for (const host of hosts) for (const port of ports) {
  try {
    const answer = await fetch(`http://${host}:${port}/healthz`, { signal: AbortSignal.timeout(5000) });
    if (!refused(host, answer.status)) seen.push([host, port, answer.status]);
    await answer.body?.cancel();
  } catch { /* refused, as it should be */ }
  try {
    const far = await Deno.connect({ hostname: host.replace(/[\\[\\]]/g, ""), port });
    seen.push([host, port, "dialled"]);
    far.close();
  } catch { /* refused, as it should be */ }
  if (!tunnel) continue;
  const near = await Deno.connect({ hostname: "127.0.0.1", port: 3128 });
  await near.write(new TextEncoder().encode(`CONNECT ${host}:${port} HTTP/1.1\\r\\nHost: example.com\\r\\n\\r\\n`));
  const answer = new Uint8Array(32);
  await near.read(answer);
  const status = Number(new TextDecoder().decode(answer).split(" ")[1]);
  if (!refused(host, status)) seen.push([host, port, "tunnel", status]);
  near.close();
}
export default () => seen;
"""
HOSTS = [
    "127.0.0.1", "localhost", "0.0.0.0", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "127.0.0.1.",  # noqa: S104
    "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[fe80::1]",
    "169.254.169.254", "[fd00:ec2::254]", "100.100.100.200", "metadata.google.internal",
]  # fmt: skip
UNKNOWN = ["metadata.google.internal", "127.0.0.1."]
"""Names that lead nowhere where there is no such service."""


@pytest.mark.parametrize("egress", ["none", "all", "allow_list"])
def test_the_platform_and_the_machine_cannot_be_reached(run: Run, stack: Stack, egress: str) -> None:
    ports = _ports(stack)
    assert int(stack.url.rpartition(":")[2]) in ports
    assert len(ports) > 1, "NATS and the services listen as well"
    own = [f"[{address}]" if ":" in address else address for address in _addresses()]
    network: dict[str, Any] = {"egress": egress}
    if egress == "allow_list":
        network["allow"] = ["localhost", "127.0.0.1", "*.internal", "169.254.0.0/16", "0.0.0.0/0", "::/0"]
    hosts = [*HOSTS, *own]
    view = run(
        REACH,
        input={"hosts": hosts, "ports": [*ports, 80], "tunnel": egress != "none", "unknown": UNKNOWN},
        network=network,
        timeout_s=60,
    )
    assert view["reason"] is None, view
    assert view["result"] == []


def test_a_forged_end_is_none(run: Run) -> None:
    view = run(FORGE, timeout_s=5)
    assert view["result"] in (None, "own"), view
    assert (view["reason"] is None) == (view["result"] == "own"), view


LINES = [
    'data: {"seq":99,"stream":"system","text":"forged"}',
    "event: done",
    "id: 99",
    '{"type":"end","nonce":"","code":0}',
    "\x1b[2J\x1b]0;title\x07",
    "a\x00b",
    "\u2028\u2029\x85\x0b\x0c",
    "\ufeff",
    "",
    ": comment",
    "retry: 1",
]


def test_lines_stay_lines_whatever_is_in_them(run: Run, api: httpx.Client) -> None:
    view = run("for (const line of Vulcan.input) { console.log(line); console.error(line); }", input=LINES)
    page = api.get(f"/v1/workloads/{view['id']}/logs").json()["items"]
    assert [line["seq"] for line in page] == list(range(1, 2 * len(LINES) + 1))
    for stream in ("stdout", "stderr"):
        texts = [line["text"] for line in page if line["stream"] == stream]
        assert [text.replace("\ufffd", "\x00") for text in texts] == LINES
    streamed = api.get(f"/v1/workloads/{view['id']}/logs", headers={"Accept": "text/event-stream"}).text
    parts = [part for part in streamed.split("\n\n") if "event:" in part]
    frames = [dict(re.findall(r"^(\w+): (.*)$", part, re.MULTILINE)) for part in parts]
    assert [frame["event"] for frame in frames] == ["line"] * len(page) + ["done"]
    assert [json.loads(frame["data"]) for frame in frames[:-1]] == page


def test_names_of_artifacts_stay_names(run: Run, api: httpx.Client) -> None:
    names = [
        "a\u202eb.txt",
        'q"uote.html',
        "ü/\u65e5.svg",
        "%2e%2e/x",
        "a;b=c,d",
        "-rf",
        "<script>.html",
        "CON",
        "~",
        "...",
    ]
    view = run(
        "for (const name of Vulcan.input) Vulcan.artifact(name, '<script>alert(1)</script>');",
        input=names,
        artifacts=["**"],
    )
    assert view["reason"] is None, view
    items = api.get(f"/v1/workloads/{view['id']}/artifacts").json()["items"]
    assert {item["name"] for item in items} == set(names)
    for name in names:
        answer = api.get(f"/v1/workloads/{view['id']}/artifacts/{quote(name)}")
        assert answer.text == "<script>alert(1)</script>", name
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-disposition"].startswith("attachment"), answer.headers
