"""Starting, stopping, crashing and starting again: the data is there and nothing is left behind."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from support.stack import Stack

INLINE = {"source": {"type": "inline", "code": "console.log('kept')"}, "runtime": "javascript"}


def wait_for(condition: Callable[[], bool], timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "gave up waiting"
        time.sleep(0.05)


def processes_naming(folder: Path) -> list[str]:
    """The command lines or environments of processes that name this folder, but for this one."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            text = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
        except OSError:
            continue
        if str(folder).encode() in text:
            found.append(text.split(b"\0")[0].decode())
    return found


def test_a_second_start_has_all_data(tmp_path: Path) -> None:
    with Stack.start(tmp_path) as first:
        headers = {"Authorization": f"Bearer {first.key}"}
        made = httpx.post(first.url + "/v1/workloads", json=INLINE, headers=headers, timeout=60).json()
    assert processes_naming(tmp_path) == []
    with Stack.start(tmp_path) as second:
        assert second.key == first.key
        view = httpx.get(f"{second.url}/v1/workloads/{made['id']}", headers=headers).json()
        assert (view["state"], view["stdout"]) == ("completed", "kept\n")
        listed = httpx.get(second.url + "/v1/workloads", headers=headers).json()["items"]
        assert made["id"] in {item["id"] for item in listed}
        logs = httpx.get(f"{second.url}/v1/workloads/{made['id']}/logs", headers=headers).json()["items"]
        assert "kept" in {line["text"] for line in logs}
    assert processes_naming(tmp_path) == []


def test_each_service_comes_back_after_a_crash(tmp_path: Path) -> None:
    with Stack.start(tmp_path) as stack:
        headers = {"Authorization": f"Bearer {stack.key}"}

        def works() -> bool:
            try:
                answer = httpx.post(stack.url + "/v1/workloads", json=INLINE, headers=headers, timeout=30)
            except httpx.TransportError:
                return False
            return answer.status_code == 200 and answer.json()["state"] == "completed"

        assert works()
        for service in ("gateway", "scheduler", "logstore", "executor-v8", "nats", "postgres"):
            stack.kill(service)
            wait_for(works, 60)

        def all_listed() -> bool:
            answer = httpx.get(stack.url + "/v1/workloads", headers=headers)
            return answer.status_code == 200 and len(answer.json()["items"]) >= 7

        wait_for(all_listed)
    assert processes_naming(tmp_path) == []
