"""A host's standard streams, read and written without threads or transports."""

import asyncio
import contextlib
import os
from typing import Final

_CHUNK: Final = 65_536


class OutputPipe:
    """The end that the executor reads. `broken` once every writer is gone and everything is read."""

    def __init__(self) -> None:
        self.fd, self.far_end = os.pipe()
        os.set_blocking(self.fd, False)
        self.broken = False

    def started(self) -> None:
        """The child has its end: let go of ours."""
        os.close(self.far_end)
        self.far_end = -1

    def read(self) -> bytes:
        """What is there now; empty if nothing is."""
        if self.broken:
            return b""
        try:
            data = os.read(self.fd, _CHUNK)
        except BlockingIOError:
            return b""
        self.broken = not data
        return data

    def close(self) -> None:
        """Close what is still open."""
        for fd in (self.fd, self.far_end):
            if fd >= 0:
                os.close(fd)
        self.fd = self.far_end = -1
        self.broken = True


class InputPipe:
    """The end that the executor writes standard input to: once, all of it, then end of file."""

    def __init__(self) -> None:
        self.far_end, self.fd = os.pipe()
        os.set_blocking(self.fd, False)

    def started(self) -> None:
        """The child has its end: let go of ours."""
        os.close(self.far_end)
        self.far_end = -1

    @property
    def open(self) -> bool:
        """True while nobody has been given an end of file."""
        return self.fd >= 0

    async def write_all(self, data: bytes) -> None:
        """Write everything as fast as it is taken, then close. Stops quietly when the reader is gone."""
        view = memoryview(data)
        try:
            while view:
                try:
                    view = view[os.write(self.fd, view) :]
                except BlockingIOError:
                    await _writable(self.fd)
        except BrokenPipeError:
            return
        finally:
            self.close()

    def close(self) -> None:
        """Close what is still open."""
        for fd in (self.fd, self.far_end):
            if fd >= 0:
                os.close(fd)
        self.fd = self.far_end = -1


async def _writable(fd: int) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_writer(fd, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_writer(fd)


class Readable:
    """Wakes when one of some pipes may have something, or when told to."""

    def __init__(self, pipes: list[OutputPipe]) -> None:
        self._pipes = pipes
        self._event = asyncio.Event()
        self._armed: set[int] = set()

    def wake(self) -> None:
        """Look again."""
        self._event.set()

    async def wait(self) -> None:
        """Until there may be something to read."""
        loop = asyncio.get_running_loop()
        for pipe in self._pipes:
            if not pipe.broken and pipe.fd not in self._armed:
                loop.add_reader(pipe.fd, self._seen, pipe.fd)
                self._armed.add(pipe.fd)
        await self._event.wait()
        self._event.clear()

    def _seen(self, fd: int) -> None:
        asyncio.get_running_loop().remove_reader(fd)
        self._armed.discard(fd)
        self._event.set()

    def close(self) -> None:
        """Stop watching."""
        loop = asyncio.get_running_loop()
        for fd in self._armed:
            with contextlib.suppress(ValueError, OSError):
                loop.remove_reader(fd)
        self._armed.clear()
