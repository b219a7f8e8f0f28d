"""How a run ended, judged from what its host said and how it died. Pure.

One rule above all: what user code did to its own host is the user's, and a host that died without a cause is ours.
"""

import re
from typing import Any, Final

import msgspec
from msgspec import Struct

from vulcan_contracts.outcome import Usage
from vulcan_contracts.reasons import Reason
from vulcan_sandbox.protocol import BackendFaultError, Exit

_SIGNAL_BASE: Final = 128
_SIGKILL: Final = 9
_HEAP_TEXT: Final = re.compile(
    rb"heap out of memory|Reached heap limit|Fatal JavaScript out of memory|Allocation failed - process out of memory"
    rb"|memory allocation of \d+ bytes failed"
)
_NEAR_LIMIT: Final = 0.9


class Ended(Struct, frozen=True, kw_only=True):
    """Everything that was seen of one run's end.

    code and result: from the host's own word, None without one. status: the exit status of a host that died, as a
    shell counts. stopped: why the backend killed it. asked: whether the run loop asked for the kill. immune: whether
    the jail keeps code from signalling its own host, so that SIGKILL can only have come from outside.
    """

    code: int | None = None
    result: str | None = None
    status: int | None = None
    stopped: Reason | None = None
    stopped_message: str = ""
    asked: bool = False
    immune: bool = False
    stderr_tail: bytes = b""
    oom_kills: int = 0
    pids_hits: int = 0
    peak_bytes: int | None = None
    limit_bytes: int = 0
    memory_mb: int = 0
    pids: int = 0
    usage: Usage = Usage()


def judge(ended: Ended) -> Exit:
    """The exit as the run loop wants it.

    Raises:
        BackendFaultError: the host is to blame, or the machine.
    """
    if ended.stopped is not None:
        return Exit(signal=_SIGKILL, reason=ended.stopped, message=ended.stopped_message, usage=ended.usage)
    if ended.code is not None:
        return _said(ended, ended.code)
    if ended.asked:
        return Exit(signal=_SIGKILL, usage=ended.usage)
    return _died(ended)


def _said(ended: Ended, code: int) -> Exit:
    if code != 0:
        if ended.pids_hits > 0:
            return _out_of_threads(ended, code)
        return Exit(exit_code=code, usage=ended.usage)
    if ended.result is None:
        return Exit(exit_code=0, usage=ended.usage)
    try:
        result: Any = msgspec.json.decode(ended.result)
    except (msgspec.DecodeError, RecursionError):
        message = "The result is not JSON that can be kept."
        return Exit(exit_code=1, reason=Reason.EXIT_NONZERO, message=message, usage=ended.usage)
    return Exit(exit_code=0, has_result=True, result=result, usage=ended.usage)


def _died(ended: Ended) -> Exit:
    status = ended.status
    if ended.oom_kills > 0:
        if ended.peak_bytes is not None and ended.peak_bytes < ended.limit_bytes * _NEAR_LIMIT:
            raise BackendFaultError("The machine ran out of memory and killed the run's host.")
        return _out_of_memory(ended)
    if _HEAP_TEXT.search(ended.stderr_tail):
        return _out_of_memory(ended)
    if ended.pids_hits > 0:
        return _out_of_threads(ended, None)
    if status is None:
        message = "The code broke the control channel of its own host."
        return Exit(exit_code=1, reason=Reason.EXIT_NONZERO, message=message, usage=ended.usage)
    if status == _SIGNAL_BASE + _SIGKILL and ended.immune:
        raise BackendFaultError("The run's host was killed from outside.")
    if status > _SIGNAL_BASE:
        message = f"The code brought its own host down with signal {status - _SIGNAL_BASE}."
        return Exit(signal=status - _SIGNAL_BASE, message=message, usage=ended.usage)
    message = f"The code ended its own host, which exited with {status}."
    return Exit(exit_code=status or 1, reason=Reason.EXIT_NONZERO, message=message, usage=ended.usage)


def _out_of_threads(ended: Ended, code: int | None) -> Exit:
    message = f"The run needed more threads than its limit of {ended.pids}."
    return Exit(exit_code=code, reason=Reason.PIDS_LIMIT, message=message, usage=ended.usage)


def _out_of_memory(ended: Ended) -> Exit:
    message = f"The run needed more than its {ended.memory_mb} MiB of memory."
    return Exit(signal=_SIGKILL, reason=Reason.OUT_OF_MEMORY, message=message, usage=ended.usage)
