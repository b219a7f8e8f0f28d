"""When everything has ended, nothing is held: no slot, no place in a queue, no workload that is thought to run."""

from collections.abc import Mapping, Sequence
from typing import Any

from vulcan_contracts.workload import Workload


def violations(
    nodes: Sequence[Mapping[str, Any]],
    stats: Mapping[str, Any],
    queued: int,
    listed: Mapping[str, str],
    states: Mapping[str, Workload],
) -> list[str]:
    """What the platform still holds, or lists other than it is.

    nodes, stats: as the API answers them. queued: messages in the nodes' queues. listed: states by workload.
    """
    found = [
        f"node {node['node']}: is {node['state']} and holds {node['used']}"
        for node in nodes
        if node["state"] != "ready" or any(node["used"].values())
    ]
    found += [f"{stats[what]} workloads are thought to be {what}" for what in ("waiting", "running") if stats[what]]
    found += [f"{queued} messages stand in the nodes' queues"] if queued else []
    found += [f"{name}: is not listed" for name in states if name not in listed]
    found += [
        f"{name}: is listed as {state}, and is {states[name].state if name in states else 'nowhere'}"
        for name, state in listed.items()
        if name not in states or states[name].state != state
    ]
    return found
