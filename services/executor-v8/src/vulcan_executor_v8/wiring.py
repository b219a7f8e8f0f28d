"""The only place that builds the V8 backend from the machine that it finds."""

import os
import sys
import tempfile
from pathlib import Path

from deno import find_deno_bin
from vulcan_executor_v8.backend import Machine, V8Backend
from vulcan_executor_v8.cgroups.tree import CgroupTree, open_tree
from vulcan_executor_v8.jail.levels import Tools, find_tools
from vulcan_executor_v8.settings import V8Settings

_MIB = 1_048_576


def backend(settings: V8Settings, node: str, *, tools: Tools | None = None, tree: CgroupTree | None = None) -> V8Backend:
    """The backend for a node of this name."""
    return V8Backend(
        settings,
        machine=machine(),
        tools=find_tools() if tools is None else tools,
        tree=open_tree(node) if tree is None else tree,
        run_dir=run_dir(settings, node),
        deno=settings.deno or os.fsdecode(find_deno_bin()),
    )


def machine() -> Machine:
    """What this process may use of the machine."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // _MIB
    return Machine(cores=cores, memory_mb=memory)


def run_dir(settings: V8Settings, node: str) -> Path:
    """The node's own folder for sockets and sources, made anew with access for this user only."""
    if settings.run_dir:
        base = Path(settings.run_dir)
    elif os.geteuid() == 0 and Path("/run").is_dir():
        base = Path("/run/vulcan-v8")
    elif "XDG_RUNTIME_DIR" in os.environ:
        base = Path(os.environ["XDG_RUNTIME_DIR"]) / "vulcan-v8"
    else:
        base = Path(tempfile.gettempdir()) / f"vulcan-v8-{os.geteuid()}"
    folder = base / node
    folder.mkdir(parents=True, exist_ok=True, mode=0o711)
    folder.chmod(0o711)
    return folder
