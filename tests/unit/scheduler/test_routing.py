from typing import Any

import pytest

from support.scheduling import heartbeat, spec
from vulcan_contracts.nodes import Heartbeat
from vulcan_contracts.spec import ImageSource, Network
from vulcan_scheduler.domain.need import need_of
from vulcan_scheduler.domain.nodes import Holder, Node
from vulcan_scheduler.domain.routing import NoRoute, Route, route


def node(beat: Heartbeat) -> Node:
    return Node(beat, Holder(beat.node, beat.incarnation, 0.0), 0.0, drain_flag=False)


V8 = node(heartbeat("v"))
V8_ONLINE = node(heartbeat("v", features=["egress"]))
GVISOR = node(heartbeat("g", isolation="gvisor", features=["egress"]))
MICROVM = node(heartbeat("m", isolation="microvm", features=["egress"]))
EMULATED = node(heartbeat("e", isolation="microvm", details={"emulated": True}))
ONLINE = Network(egress="all")


@pytest.mark.parametrize(
    ("changes", "nodes", "isolation", "reason"),
    [
        ({}, [GVISOR, V8], "v8", "javascript without network starts fastest in v8, which is available on 1 node"),
        (
            {"network": ONLINE},
            [V8, GVISOR],
            "gvisor",
            "javascript with network starts fastest in gvisor of what can run it, which is available on 1 node",
        ),
        (
            {"network": ONLINE},
            [V8_ONLINE, GVISOR],
            "v8",
            "javascript with network starts fastest in v8, which is available on 1 node",
        ),
        (
            {"runtime": "python"},
            [V8, GVISOR, EMULATED],
            "gvisor",
            (
                "python without network starts fastest in gvisor of what can run it, which is available on 1 node; "
                "the microvm here is emulated"
            ),
        ),
        (
            {"runtime": "go"},
            [V8, MICROVM, EMULATED],
            "microvm",
            "go without network can run in microvm only, which is available on 2 nodes",
        ),
        (
            {"source": ImageSource(image="busybox"), "runtime": None},
            [V8, GVISOR],
            "gvisor",
            "an OCI image without network starts fastest in gvisor of what can run it, which is available on 1 node",
        ),
        ({"isolation": "microvm"}, [V8, MICROVM], "microvm", "requested"),
    ],
)
def test_chooses(changes: dict[str, Any], nodes: list[Node], isolation: str, reason: str) -> None:
    found = route(need_of(spec(**changes)), nodes)
    assert isinstance(found, Route)
    assert (found.isolation, found.reason) == (isolation, reason)


@pytest.mark.parametrize(
    ("changes", "nodes", "reason"),
    [
        ({"isolation": "gvisor"}, [V8], "no node offers gvisor"),
        ({"runtime": "python"}, [V8], "v8 does not run python; no node offers gvisor; no node offers microvm"),
        ({"isolation": "v8", "network": ONLINE}, [V8], "v8 cannot give network access on node v"),
        (
            {"isolation": "v8", "cpus": 64.0, "memory_mb": 262_144},
            [V8],
            "no v8 node is as large as 64 cpus and 262144 MiB",
        ),
        (
            {"isolation": "v8"},
            [node(heartbeat("v", available=False, unavailable_reason="deno is missing"))],
            "v8 does not work on node v: deno is missing",
        ),
        ({"isolation": "v8"}, [node(heartbeat("v", state="draining"))], "every node that offers v8 is draining"),
        (
            {"isolation": "gvisor", "source": ImageSource(image="x"), "runtime": None},
            [node(heartbeat("g", isolation="gvisor", images=False))],
            "gvisor does not run OCI images",
        ),
    ],
)
def test_says_what_is_missing(changes: dict[str, Any], nodes: list[Node], reason: str) -> None:
    assert route(need_of(spec(**changes)), nodes) == NoRoute(reason=reason)
