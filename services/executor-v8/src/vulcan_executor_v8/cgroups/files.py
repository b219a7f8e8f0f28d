"""Files of the kernel that are asked again and again: opening one costs twenty times what reading it does."""

import errno
import os
from typing import Final

_MOST_BYTES: Final = 65_536
_NO_DESCRIPTORS: Final = (errno.EMFILE, errno.ENFILE)


class KernelFiles:
    """Opens each file once and keeps it until `close`. A file that is not there, or no more, is as good as empty."""

    def __init__(self) -> None:
        self._open: dict[str, int] = {}

    def read(self, path: str) -> str:
        """The text that the file has now.

        Raises:
            OSError: this process has too many files open to tell, which must not pass for a counter at zero.
        """
        try:
            return os.pread(self._descriptor(path), _MOST_BYTES, 0).decode()
        except OSError as error:
            if error.errno in _NO_DESCRIPTORS:
                raise
            return ""

    def write(self, path: str, text: str) -> None:
        """Tell the kernel something, if it takes it. What version 2 resets is so only for who reads where it wrote."""
        try:
            os.pwrite(self._descriptor(path), text.encode(), 0)
        except OSError:
            return

    def close(self) -> None:
        """Close all; whoever reads afterwards opens anew."""
        while self._open:
            os.close(self._open.popitem()[1])

    def _descriptor(self, path: str) -> int:
        descriptor = self._open.get(path)
        if descriptor is None:
            try:
                descriptor = os.open(path, os.O_RDWR)
            except PermissionError:
                descriptor = os.open(path, os.O_RDONLY)
            self._open[path] = descriptor
        return descriptor
