"""How an attempt ended, judged from what its backend saw and from what the run loop did to it. Pure.

One rule above all: a fault of the host is never reported as the user's, and the reverse.
"""

import signal
from typing import Any, Final

import msgspec
from msgspec import Struct

from vulcan_contracts.logs import clean_text
from vulcan_contracts.reasons import Reason
from vulcan_sandbox.protocol import BackendFaultError, Exit, RunRefusedError

INTERNAL_ERROR: Final = "The executor met an error of its own; its log has the details."


class Cut(Struct, frozen=True):
    """Why the run loop ended the code itself: timed_out, output_limit, killed_by_user, or executor_lost at a stop."""

    reason: Reason
    message: str


class Limits(Struct, frozen=True, kw_only=True):
    """How much of an ending is kept."""

    result_bytes: int
    message_bytes: int


class Verdict(Struct, frozen=True, kw_only=True):
    """The part of an outcome that has to be judged."""

    reason: Reason | None = None
    message: str = ""
    exit_code: int | None = None
    signal: int | None = None
    result: Any = None


def judge(*, seen: Exit | None, cut: Cut | None, fault: Exception | None, limits: Limits) -> Verdict:
    """The verdict over one attempt.

    In this order: what the user asked for; a fault of the host; what the run loop had to do; what the backend saw.

    Args:
        seen: the exit as the backend saw it; None if nobody did.
        cut: why the run loop ended the code, if it did before the code ended by itself.
        fault: what preparing, starting, waiting or collecting raised.
        limits: how much of it is kept.
    """
    verdict = _reason(seen, cut, fault)
    if seen is not None:
        verdict = msgspec.structs.replace(verdict, exit_code=seen.exit_code, signal=seen.signal)
        if verdict.reason is None and seen.has_result:
            verdict = _with_result(verdict, seen.result, limits.result_bytes)
    return msgspec.structs.replace(verdict, message=bounded_text(verdict.message, limits.message_bytes))


def _reason(seen: Exit | None, cut: Cut | None, fault: Exception | None) -> Verdict:
    if cut is not None and cut.reason is Reason.KILLED_BY_USER:
        return Verdict(reason=cut.reason, message=cut.message)
    if fault is not None:
        return _of_fault(fault)
    if seen is not None and seen.reason is not None and seen.reason.host_fault:
        return Verdict(reason=seen.reason, message=seen.message)
    if cut is not None:
        return Verdict(reason=cut.reason, message=cut.message)
    if seen is None:
        return Verdict(reason=Reason.BACKEND_ERROR, message="Nobody saw how the code ended.")
    return _of_exit(seen)


def _of_fault(fault: Exception) -> Verdict:
    if isinstance(fault, RunRefusedError):
        return Verdict(reason=fault.reason, message=str(fault))
    if isinstance(fault, BackendFaultError):
        return Verdict(reason=Reason.BACKEND_ERROR, message=str(fault))
    return Verdict(reason=Reason.BACKEND_ERROR, message=INTERNAL_ERROR)


def _of_exit(seen: Exit) -> Verdict:
    if seen.reason is not None:
        return Verdict(reason=seen.reason, message=seen.message)
    if seen.signal is not None:
        return Verdict(reason=Reason.SIGNALED, message=seen.message or f"Ended by {signal_name(seen.signal)}.")
    if seen.exit_code is None:
        return Verdict(reason=Reason.BACKEND_ERROR, message="The backend cannot tell how the code ended.")
    if seen.exit_code != 0:
        return Verdict(reason=Reason.EXIT_NONZERO, message=seen.message or f"Exited with code {seen.exit_code}.")
    return Verdict(message=seen.message)


def _with_result(verdict: Verdict, result: Any, result_bytes: int) -> Verdict:
    try:
        size = len(msgspec.json.encode(result))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        message = f"The result cannot be written as JSON: {error}"
        return msgspec.structs.replace(verdict, reason=Reason.OUTPUT_LIMIT, message=message)
    if size > result_bytes:
        message = f"The result takes {size} bytes as JSON; {result_bytes} are kept. Write it to an artifact instead."
        return msgspec.structs.replace(verdict, reason=Reason.OUTPUT_LIMIT, message=message)
    return msgspec.structs.replace(verdict, result=result)


def signal_name(number: int) -> str:
    """A signal as people know it: `SIGSEGV (11)`."""
    try:
        return f"{signal.Signals(number).name} ({number})"
    except ValueError:
        return f"signal {number}"


def bounded_text(text: str, max_bytes: int) -> str:
    """Text that every store accepts, cut between characters at a number of bytes."""
    raw = text.encode("utf-8", "replace")
    if len(raw) <= max_bytes:
        return clean_text(raw)
    return clean_text(raw[:max_bytes].decode("utf-8", "ignore").encode()) + "…"
