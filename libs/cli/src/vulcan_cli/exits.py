"""The exit codes of `vulcan`, and what an ended workload's is: part of the interface, listed in docs/cli.md."""

from typing import Final

from vulcan_contracts.reasons import Reason

OK: Final = 0
CHECKS_FAILED: Final = 1
USAGE: Final = 2
TIMED_OUT: Final = 124
FAILURE: Final = 125
CANNOT_RUN: Final = 126
INTERRUPTED: Final = 130
KILLED: Final = 137
BROKEN_PIPE: Final = 141
TERMINATED: Final = 143
CPU_LIMIT: Final = 152
SIZE_LIMIT: Final = 153

_BY_REASON: Final = {
    Reason.TIMED_OUT: TIMED_OUT,
    Reason.OUT_OF_MEMORY: KILLED,
    Reason.KILLED_BY_USER: KILLED,
    Reason.CPU_LIMIT: CPU_LIMIT,
    Reason.OUTPUT_LIMIT: SIZE_LIMIT,
    Reason.DISK_LIMIT: SIZE_LIMIT,
    Reason.PIDS_LIMIT: SIZE_LIMIT,
    Reason.INVALID_SOURCE: CANNOT_RUN,
    Reason.IMAGE_UNAVAILABLE: CANNOT_RUN,
}


def of_workload(exit_code: int | None, reason: Reason | None, signal: int | None) -> int:
    """The exit code that stands for how a workload ended."""
    if reason is None:
        return exit_code or OK
    if reason is Reason.EXIT_NONZERO:
        return exit_code or 1
    if reason is Reason.SIGNALED:
        return 128 + (signal or 0)
    return _BY_REASON.get(reason, FAILURE)
