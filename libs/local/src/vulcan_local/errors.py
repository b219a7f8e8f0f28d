"""What can keep the stack from starting. Each says what is wrong and, in `hint`, what to do."""

import errno
from typing import Final

NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT)
"""How the system says that a disk is full."""


class LocalError(Exception):
    """The embedded stack cannot do what was asked."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class DataDirInUseError(LocalError):
    """Another stack runs in this data directory."""


class StartFailedError(LocalError):
    """A service did not become ready. `tail` is the end of what it printed."""

    def __init__(self, message: str, *, hint: str = "", tail: str = "") -> None:
        super().__init__(message, hint=hint)
        self.tail = tail
