"""When a crashed service is started again: at once at first, then ever later, and from the start once it held."""

from typing import Final

from msgspec import Struct

_MAX_DOUBLINGS: Final = 30


class RestartPolicy(Struct, frozen=True, kw_only=True):
    """How long to wait before a restart. The wait doubles with each crash in a row."""

    initial_delay_s: float = 0.1
    max_delay_s: float = 15.0
    healthy_after_s: float = 5.0
    """A service that was ready for this long has recovered: the next crash is the first again. Waiting is against a
    service that cannot stay up; one that serves and is killed again and again must not be away longer each time."""
    start_attempts: int = 3
    """Crashes in a row, before a service was ready even once, after which the start has failed."""


class RestartState(Struct, frozen=True, kw_only=True):
    """What the policy remembers of one service."""

    crashes: int = 0
    """Crashes in a row, without a healthy time between them."""
    restarts: int = 0
    """All restarts since the start."""
    was_ready: bool = False


class Restart(Struct, frozen=True, kw_only=True):
    """What to do after a crash. `delay_s` None means give up."""

    state: RestartState
    delay_s: float | None


def after_crash(
    policy: RestartPolicy, state: RestartState, *, ready_for_s: float | None, hopeless: bool = False
) -> Restart:
    """Decide what follows a crash of a service that had been ready for `ready_for_s` (None: never in this life).

    Hopeless is an end that the same start would repeat, such as one for wrong settings.
    """
    recovered = ready_for_s is not None and ready_for_s >= policy.healthy_after_s
    crashes = 1 if recovered else state.crashes + 1
    was_ready = state.was_ready or ready_for_s is not None
    if not was_ready and (hopeless or crashes >= policy.start_attempts):
        return Restart(state=RestartState(crashes=crashes, restarts=state.restarts), delay_s=None)
    delay = min(policy.max_delay_s, policy.initial_delay_s * 2.0 ** min(crashes - 1, _MAX_DOUBLINGS))
    return Restart(state=RestartState(crashes=crashes, restarts=state.restarts + 1, was_ready=was_ready), delay_s=delay)
