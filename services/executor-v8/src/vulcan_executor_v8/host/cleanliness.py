"""The proof that a run left nothing behind in its host, without which the host is killed."""

import asyncio
import time
from pathlib import Path
from typing import Final

from vulcan_executor_v8.host.process import Host
from vulcan_executor_v8.host.vitals import worker_threads

_SAMPLE_S: Final = 0.004
_IDLE_SHARE: Final = 0.25
_MEMORY_SLACK: Final = 16 * 1_048_576


async def proved_clean(host: Host, timeout_s: float) -> bool:
    """True if, before the time is up, the Worker's thread is gone, nothing burns CPU, memory is back down, nothing was
    written to a pipe, the control socket or /tmp."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline and host.alive:
        if host.stdout.read() or host.stderr.read() or host.channel.pending() or _wrote_files(host):
            return False
        if worker_threads(host.pid) == 0 and await _idle(host) and _memory_is_down(host):
            return not (host.stdout.read() or host.stderr.read() or host.channel.pending())
        await asyncio.sleep(_SAMPLE_S)
    return False


async def _idle(host: Host) -> bool:
    before, start = host.cpu_s(), time.monotonic()
    await asyncio.sleep(_SAMPLE_S)
    return host.cpu_s() - before <= _IDLE_SHARE * (time.monotonic() - start)


def _memory_is_down(host: Host) -> bool:
    return host.memory_bytes() <= host.idle_bytes + _MEMORY_SLACK


def _wrote_files(host: Host) -> bool:
    folder = Path(f"/proc/{host.pid}/root/tmp") if host.jailed else host.folder / "scratch" / "tmp"
    try:
        return any(folder.iterdir())
    except FileNotFoundError:
        return False
    except OSError:
        return host.jailed and not folder.exists()
