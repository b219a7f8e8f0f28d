"""What is left on the machine when all of the hostile code is over. Runs after the others, and sees what they left."""

import time
from pathlib import Path
from typing import Any

import httpx

from support.stack import Stack

_PATIENCE_S = 40.0
_WARM_HOSTS = 4


def _children(pid: int) -> dict[int, str]:
    """The processes below one, with their commands."""
    parents: dict[int, tuple[int, str]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                name, _, rest = (folder / "stat").read_text().rpartition(")")
            except (FileNotFoundError, ProcessLookupError):
                continue
            parents[int(folder.name)] = (int(rest.split()[1]), name.partition("(")[2])
    found: dict[int, str] = {}
    while new := {n: name for n, (parent, name) in parents.items() if n not in found and parent in {pid, *found}}:
        found |= new
    return found


def _left(stack: Stack, api: httpx.Client) -> dict[str, Any]:
    (node,) = api.get("/v1/nodes").json()["items"]
    run_dir = stack.data.parent / "run"
    hosts = {folder.name for folder in run_dir.glob("*/h*")}
    groups = {group.name for group in Path("/sys/fs/cgroup").glob(f"**/vulcan-v8-{node['node']}/h*")}
    denos = [name for name in _children(stack.pid("executor-v8")).values() if name == "deno"]
    return {
        "used": node["used"],
        "sources": [str(path) for path in run_dir.glob("*/*/src/*")],
        "hosts": len(hosts),
        "processes": len(denos),
        "groups that are nobody's": sorted(groups - hosts),
        "running": [item["id"] for state in ("pending", "running") for item in _listed(api, state)],
    }


def _listed(api: httpx.Client, state: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = api.get("/v1/workloads", params={"state": state}).json()["items"]
    return items


def test_nothing_is_left_and_the_capacity_is_full_again(stack: Stack, api: httpx.Client) -> None:
    expected = {
        "used": {"cpus": 0.0, "memory_mb": 0, "slots": 0},
        "sources": [],
        "hosts": _WARM_HOSTS,
        "processes": _WARM_HOSTS,
        "groups that are nobody's": [],
        "running": [],
    }
    deadline = time.monotonic() + _PATIENCE_S
    while (left := _left(stack, api)) != expected:
        assert time.monotonic() < deadline, left
        time.sleep(0.2)


def test_no_service_died_of_it(stack: Stack, at_start: dict[str, int]) -> None:
    assert stack.pids() == at_start
    assert "internal_error" not in stack.output()


def test_the_executor_holds_no_more_descriptors_than_before(stack: Stack, descriptors_at_start: int) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while (now := len(list(Path(f"/proc/{stack.pid('executor-v8')}/fd").iterdir()))) > descriptors_at_start + 10:
        assert time.monotonic() < deadline, (descriptors_at_start, now)
        time.sleep(0.2)
