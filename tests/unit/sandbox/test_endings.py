import itertools

import pytest

from vulcan_contracts.reasons import Reason
from vulcan_sandbox.ending import INTERNAL_ERROR, Cut, Limits, bounded_text, judge, signal_name
from vulcan_sandbox.protocol import BackendFaultError, Exit, RunRefusedError

LIMITS = Limits(result_bytes=20, message_bytes=100)

OK = Exit(exit_code=0)
HOST_DIED = Exit(reason=Reason.BACKEND_ERROR, message="the host process died")
KILLED = Cut(Reason.KILLED_BY_USER, "Killed on request.")
TIMED_OUT = Cut(Reason.TIMED_OUT, "Ran longer than its limit of 1 s.")
FLOODED = Cut(Reason.OUTPUT_LIMIT, "Printed more than its limit.")
STOPPED = Cut(Reason.EXECUTOR_LOST, "Node n was stopped.")


@pytest.mark.parametrize(
    ("seen", "cut", "fault", "reason"),
    [
        (OK, None, None, None),
        (Exit(exit_code=3), None, None, Reason.EXIT_NONZERO),
        (Exit(signal=11), None, None, Reason.SIGNALED),
        (Exit(signal=11, exit_code=139), None, None, Reason.SIGNALED),
        (Exit(exit_code=137, reason=Reason.OUT_OF_MEMORY), None, None, Reason.OUT_OF_MEMORY),
        (Exit(reason=Reason.CPU_LIMIT), None, None, Reason.CPU_LIMIT),
        (Exit(), None, None, Reason.BACKEND_ERROR),
        (None, None, None, Reason.BACKEND_ERROR),
        (HOST_DIED, None, None, Reason.BACKEND_ERROR),
        # What the run loop did decides over how the code took it.
        (Exit(signal=9), TIMED_OUT, None, Reason.TIMED_OUT),
        (OK, TIMED_OUT, None, Reason.TIMED_OUT),
        (None, TIMED_OUT, None, Reason.TIMED_OUT),
        (Exit(signal=9), FLOODED, None, Reason.OUTPUT_LIMIT),
        (Exit(signal=15), STOPPED, None, Reason.EXECUTOR_LOST),
        (Exit(signal=15), KILLED, None, Reason.KILLED_BY_USER),
        (None, KILLED, None, Reason.KILLED_BY_USER),
        (Exit(reason=Reason.OUT_OF_MEMORY), TIMED_OUT, None, Reason.TIMED_OUT),
        # A fault of the host is never the user's.
        (HOST_DIED, TIMED_OUT, None, Reason.BACKEND_ERROR),
        (HOST_DIED, FLOODED, None, Reason.BACKEND_ERROR),
        (None, TIMED_OUT, BackendFaultError("gone"), Reason.BACKEND_ERROR),
        (OK, None, BackendFaultError("its output was lost"), Reason.BACKEND_ERROR),
        (None, None, ZeroDivisionError("a bug of ours"), Reason.BACKEND_ERROR),
        # What the user asked for is what the user gets.
        (HOST_DIED, KILLED, None, Reason.KILLED_BY_USER),
        (None, KILLED, BackendFaultError("gone"), Reason.KILLED_BY_USER),
        # And the user's fault is never the host's.
        (None, None, RunRefusedError(Reason.INVALID_SOURCE, "no entrypoint"), Reason.INVALID_SOURCE),
        (None, None, RunRefusedError(Reason.IMAGE_UNAVAILABLE, "no such tag"), Reason.IMAGE_UNAVAILABLE),
    ],
)
def test_reasons(seen: Exit | None, cut: Cut | None, fault: Exception | None, reason: Reason | None) -> None:
    assert judge(seen=seen, cut=cut, fault=fault, limits=LIMITS).reason is reason


def test_no_combination_blames_the_wrong_side() -> None:
    exits = [None, OK, HOST_DIED, Exit(exit_code=1), Exit(signal=9), Exit(reason=Reason.OUT_OF_MEMORY), Exit()]
    cuts = [None, TIMED_OUT, FLOODED, STOPPED]
    faults = [None, BackendFaultError("x"), RuntimeError("x")]
    for seen, cut, fault in itertools.product(exits, cuts, faults):
        verdict = judge(seen=seen, cut=cut, fault=fault, limits=LIMITS)
        host_failed = fault is not None or seen is HOST_DIED or cut is STOPPED
        nobody_knows = cut is None and (seen is None or seen == Exit())
        blamed_on_host = verdict.reason is not None and verdict.reason.host_fault
        assert blamed_on_host == (host_failed or nobody_knows), (seen, cut, fault, verdict)


def test_codes_are_told_whatever_the_reason() -> None:
    verdict = judge(seen=Exit(exit_code=143, signal=15), cut=TIMED_OUT, fault=None, limits=LIMITS)
    assert (verdict.exit_code, verdict.signal) == (143, 15)


def test_messages() -> None:
    def message(seen: Exit, fault: Exception | None = None) -> str:
        return judge(seen=seen, cut=None, fault=fault, limits=LIMITS).message

    assert message(Exit(exit_code=3)) == "Exited with code 3."
    assert message(Exit(exit_code=1, message="TypeError: x")) == "TypeError: x"
    assert message(Exit(signal=11)) == "Ended by SIGSEGV (11)."
    assert message(OK, BackendFaultError("the disk is full")) == "the disk is full"
    assert message(OK, ValueError("secret path /x")) == INTERNAL_ERROR


def test_result_is_kept_up_to_its_limit() -> None:
    fits = judge(seen=Exit(exit_code=0, has_result=True, result="x" * 18), cut=None, fault=None, limits=LIMITS)
    assert (fits.reason, fits.result) == (None, "x" * 18)
    large = judge(seen=Exit(exit_code=0, has_result=True, result="x" * 19), cut=None, fault=None, limits=LIMITS)
    assert (large.reason, large.result) == (Reason.OUTPUT_LIMIT, None)
    assert "21 bytes" in large.message


def test_result_that_is_no_json() -> None:
    verdict = judge(seen=Exit(exit_code=0, has_result=True, result=object()), cut=None, fault=None, limits=LIMITS)
    assert verdict.reason is Reason.OUTPUT_LIMIT


def test_result_of_a_run_that_failed_is_not_kept() -> None:
    verdict = judge(seen=Exit(exit_code=1, has_result=True, result=1), cut=None, fault=None, limits=LIMITS)
    assert (verdict.reason, verdict.result) == (Reason.EXIT_NONZERO, None)


def test_messages_are_bounded_and_clean() -> None:
    assert bounded_text("✓" * 10, 10) == "✓✓✓…"
    assert bounded_text("a\x00b", 10) == "a\ufffdb"
    assert bounded_text("\ud800", 10) == "?"
    verdict = judge(seen=Exit(exit_code=1, message="x" * 500), cut=None, fault=None, limits=LIMITS)
    assert len(verdict.message.encode()) <= 103


def test_signal_names() -> None:
    assert signal_name(9) == "SIGKILL (9)"
    assert signal_name(200) == "signal 200"
