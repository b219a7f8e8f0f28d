"""Why a workload ended other than well, as a closed set, and whose doing that is."""

from enum import StrEnum


class Reason(StrEnum):
    """Why a workload failed, was killed, or was tried again."""

    EXIT_NONZERO = "exit_nonzero"
    SIGNALED = "signaled"
    TIMED_OUT = "timed_out"
    OUT_OF_MEMORY = "out_of_memory"
    CPU_LIMIT = "cpu_limit"
    OUTPUT_LIMIT = "output_limit"
    DISK_LIMIT = "disk_limit"
    PIDS_LIMIT = "pids_limit"
    INVALID_SOURCE = "invalid_source"
    IMAGE_UNAVAILABLE = "image_unavailable"
    KILLED_BY_USER = "killed_by_user"
    QUEUE_EXPIRED = "queue_expired"
    BACKEND_UNAVAILABLE = "backend_unavailable"
    BACKEND_ERROR = "backend_error"
    EXECUTOR_LOST = "executor_lost"

    @property
    def host_fault(self) -> bool:
        """True where the platform is to blame, and never the code that ran."""
        return self in _HOST_FAULTS


_HOST_FAULTS = frozenset({Reason.BACKEND_UNAVAILABLE, Reason.BACKEND_ERROR, Reason.EXECUTOR_LOST})
