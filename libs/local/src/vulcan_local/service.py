"""What the supervisor runs: one program, how to tell that it is ready, and how to stop it."""

import signal
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

PRIVATE_UMASK: Final = 0o077

Probe = Callable[[int], Awaitable[str | None]]
"""Given the process id: None if the service is ready, else what is still missing."""


def _everything(_line: str) -> bool:
    return True


def _none(_line: str) -> bool:
    return False


def _no_hindrance() -> str | None:
    return None


async def _nothing() -> None:
    return None


@dataclass(frozen=True, kw_only=True)
class StopStep:
    """A signal, and how long the process may then take to end."""

    signal: signal.Signals
    timeout_s: float


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Another user to run as, and what to show it of folders that it may not reach: see `launch`."""

    uid: int
    gid: int
    binds: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, kw_only=True)
class Service:
    """One supervised program."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    """The whole environment of the process."""
    probe: Probe
    ready_timeout_s: float
    stop: Sequence[StopStep]
    """Tried in turn; SIGKILL to the whole process group follows by itself."""
    death_signal: signal.Signals = signal.SIGKILL
    """What the process gets if the supervisor dies without stopping it."""
    hopeless_exit_codes: Collection[int] = ()
    """Ends that another start would only repeat, as for wrong settings."""
    umask: int = PRIVATE_UMASK
    out_of_chroot: bool = False
    """Whether it makes sandboxes, which the kernel allows nobody in a chroot."""
    identity: Identity | None = None
    before_start: Callable[[], Awaitable[None]] = field(default=_nothing)
    """Runs before each start, also after a crash."""
    stuck: Callable[[str], bool] = _none
    """Which of its lines say that it runs, but takes nothing new until it is started again."""
    hindrance: Callable[[], str | None] = _no_hindrance
    """Why a new start would not help one that is stuck, or None if it would. Asked again and again; must not wait."""
    on_console: Callable[[str], bool] = _everything
    """Which of its lines a person wants to see; the log file has all."""
