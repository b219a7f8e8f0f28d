"""A real V8 backend for tests, with a node name and folders of its own, and eyes for whatever it leaves behind."""

import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from vulcan_executor_v8 import wiring
from vulcan_executor_v8.backend import V8Backend
from vulcan_executor_v8.jail.levels import Tools
from vulcan_executor_v8.settings import V8Settings
from vulcan_sandbox.egress import IpNetwork

_numbers = itertools.count(1)


def _jail_works() -> bool:
    """True where bubblewrap is installed and can make namespaces; in a chroot it cannot."""
    bwrap = shutil.which("bwrap")
    return bwrap is not None and subprocess.run([bwrap, "--unshare-all", "--ro-bind", "/", "/", "true"]).returncode == 0


HAS_BWRAP = _jail_works()
IS_ROOT = os.geteuid() == 0


def settings(run_dir: Path | None = None, **changes: object) -> V8Settings:
    """Small and quick, with a short path for sockets."""
    folder = run_dir or Path(tempfile.mkdtemp(prefix="v8t-", dir="/tmp"))
    folder.chmod(0o755)
    values: dict[str, object] = {"run_dir": str(folder), "warm_hosts": 1, "max_warm_hosts": 2, "slots": 8, **changes}
    return V8Settings(**values)  # type: ignore[arg-type]  # the tests name real fields


def new_node() -> str:
    """A node name that no other test has."""
    return f"t{os.getpid()}-{next(_numbers)}"


@asynccontextmanager
async def backend(
    node: str | None = None,
    tools: Tools | None = None,
    egress_exceptions: Sequence[IpNetwork] = (),
    **changes: object,
) -> AsyncIterator[V8Backend]:
    """A backend that works, and is gone without a trace afterwards."""
    name = node or new_node()
    config = settings(**changes)  # type: ignore[arg-type]  # the same
    made = wiring.backend(config, name, tools=tools, egress_exceptions=egress_exceptions)
    await made.recover()
    try:
        yield made
    finally:
        await made.close()
        shutil.rmtree(config.run_dir)
