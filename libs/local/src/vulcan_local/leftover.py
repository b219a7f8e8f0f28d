"""PostgreSQL processes that outlived their supervisor for a moment, and the pid file of a server that is gone."""

import asyncio
import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from vulcan_local.errors import LocalError

_STOP_TIMEOUT_S: Final = 10.0
_POLL_S: Final = 0.02


async def end_leftover(data: Path) -> None:
    """Make way for a new server in this folder, which the caller has locked.

    The pid file may name a process that lives but is another one by now: PostgreSQL would refuse to start for ever. It
    also guards against workers of a killed server, so it goes only when nobody works in the folder any more.

    Raises:
        LocalError: old processes do not end.
    """
    for kind in (signal.SIGQUIT, signal.SIGKILL):
        deadline = time.monotonic() + _STOP_TIMEOUT_S
        workers = _working_in(data)
        for pid in workers:
            with suppress(ProcessLookupError):
                os.kill(pid, kind)
        while workers and time.monotonic() < deadline:
            await asyncio.sleep(_POLL_S)
            workers = _working_in(data)
        if not workers:
            (data / "postmaster.pid").unlink(missing_ok=True)
            return
    raise LocalError(f"old PostgreSQL processes still work in {data} and do not end: {_working_in(data)}")


def _working_in(data: Path) -> list[int]:
    """The processes whose working folder is `data`, as it is of every PostgreSQL process, in whatever namespace."""
    here = data.stat()
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                there = (entry / "cwd").stat()  # a magic link: its text means nothing here
            except OSError:
                continue
            if (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino):
                found.append(int(entry.name))
    return found
