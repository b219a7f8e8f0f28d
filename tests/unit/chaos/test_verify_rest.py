from typing import Any

import pytest

from chaos import verify_rest
from chaos.verify_events import Histories
from support.chaos_records import PLAIN, Story

STATES = Histories(Story().events).states
NODE = {"node": "here-v8", "state": "ready", "used": {"cpus": 0.0, "memory_mb": 0, "slots": 0}}
STATS = {"waiting": 0, "running": 0}
LISTED = {name: state.state for name, state in STATES.items()}


def found(
    node: dict[str, Any] = NODE, stats: dict[str, int] = STATS, queued: int = 0, listed: dict[str, Any] = LISTED
) -> list[str]:
    return verify_rest.violations([node], stats, queued, listed, STATES)


def test_a_platform_at_rest_is_believed() -> None:
    assert found() == []


@pytest.mark.parametrize("held", [{"cpus": 0.5}, {"memory_mb": 128}, {"slots": 1}])
def test_a_node_that_holds_something(held: dict[str, float]) -> None:
    [wrong] = found(node={**NODE, "used": {**NODE["used"], **held}})  # type: ignore[dict-item]
    assert wrong.startswith("node here-v8: is ready and holds")


def test_a_node_that_is_not_ready() -> None:
    assert found(node={**NODE, "state": "lost"})


@pytest.mark.parametrize("what", ["waiting", "running"])
def test_a_workload_that_is_thought_to_go_on(what: str) -> None:
    assert found(stats={**STATS, what: 1}) == [f"1 workloads are thought to be {what}"]


def test_a_message_that_stays_in_a_queue() -> None:
    assert found(queued=2) == ["2 messages stand in the nodes' queues"]


def test_a_list_that_is_not_the_log() -> None:
    without = {name: state for name, state in LISTED.items() if name != PLAIN}
    assert found(listed=without) == [f"{PLAIN}: is not listed"]
    assert found(listed={**LISTED, PLAIN: "running"}) == [f"{PLAIN}: is listed as running, and is completed"]
    assert found(listed={**LISTED, "wl_other": "failed"}) == ["wl_other: is listed as failed, and is nowhere"]
