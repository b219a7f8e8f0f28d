"""The only place that builds things: the V8 backend from the machine that it finds, and the service around it."""

import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from deno import find_deno_bin
from msgspec import Struct

from vulcan_chassis.errors import StartError
from vulcan_chassis.service import Service
from vulcan_contracts.ids import NodeId
from vulcan_eventstore.connection import Bus, NatsSettings
from vulcan_eventstore.log_writer import LogWriterSettings
from vulcan_eventstore.streams import StreamSettings, ensure_streams
from vulcan_executor_v8.backend import Machine, V8Backend
from vulcan_executor_v8.cgroups.tree import CgroupTree, open_tree
from vulcan_executor_v8.jail.levels import Tools, find_tools
from vulcan_executor_v8.settings import V8Settings
from vulcan_sandbox.egress import IpNetwork
from vulcan_sandbox.executor import start_executor
from vulcan_sandbox.settings import ExecutorSettings, node_id

_MIB: Final = 1_048_576


class ExecutorV8Settings(Struct, frozen=True, kw_only=True):
    """Everything that the service can be told."""

    nats: NatsSettings = NatsSettings()
    streams: StreamSettings = StreamSettings()
    node: NodeId = ""
    """The node's id; empty: `<host name>-v8`."""
    executor: ExecutorSettings = ExecutorSettings()
    log_writer: LogWriterSettings = LogWriterSettings()
    v8: V8Settings = V8Settings()


async def wire(service: Service, settings: ExecutorV8Settings) -> None:
    """Connect, and begin to run workloads.

    Raises:
        NodeTakenError: an executor of this name is alive on this machine.
    """
    v8 = backend(settings.v8, node_id(settings.node, "v8"))
    await v8.own()
    bus = await Bus.connect(settings.nats, name=service.name)
    service.on_stop(bus.close, name="bus")
    await ensure_streams(bus, settings.streams)
    await start_executor(
        service,
        bus,
        v8,
        node=settings.node,
        settings=settings.executor,
        log_settings=settings.log_writer,
    )


def backend(
    settings: V8Settings,
    node: str,
    *,
    tools: Tools | None = None,
    tree: CgroupTree | None = None,
    egress_exceptions: Sequence[IpNetwork] = (),
) -> V8Backend:
    """The backend for a node of this name.

    Args:
        settings: the backend's.
        node: names its folder and its branch of the control groups.
        tools: in place of those that this machine has.
        tree: in place of the one that this machine has.
        egress_exceptions: networks that every run with network access may reach: for tests.
    """
    return V8Backend(
        settings,
        machine=machine(),
        tools=find_tools() if tools is None else tools,
        tree=open_tree(node) if tree is None else tree,
        run_dir=run_dir(settings, node),
        deno=settings.deno or os.fsdecode(find_deno_bin()),
        egress_exceptions=egress_exceptions,
    )


def machine() -> Machine:
    """What this process may use of the machine."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // _MIB
    return Machine(cores=cores, memory_mb=memory)


def run_dir(settings: V8Settings, node: str) -> Path:
    """The node's own folder for sockets and sources, with access for this user only.

    Raises:
        StartError: it would stand in a folder that somebody else has put there.
    """
    if settings.run_dir:
        base = Path(settings.run_dir)
    elif os.geteuid() == 0 and Path("/run").is_dir():
        base = Path("/run/vulcan-v8")
    elif "XDG_RUNTIME_DIR" in os.environ:
        base = Path(os.environ["XDG_RUNTIME_DIR"]) / "vulcan-v8"
    else:
        base = Path(tempfile.gettempdir()) / f"vulcan-v8-{os.geteuid()}"
        base.mkdir(exist_ok=True, mode=0o700)
        if base.is_symlink() or base.stat().st_uid != os.geteuid():
            raise StartError(f"{base} belongs to another user. Set VULCAN_V8_RUN_DIR to a folder of your own.")
    folder = base / node
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)
    return folder
