"""What a run hands over with `Vulcan.artifact`: kept in one nameless file, so that no crash leaves anything behind and
no number of artifacts uses up this process's descriptors.
"""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator
from typing import IO, Final

from vulcan_contracts.paths import path_problem
from vulcan_executor_v8.host.channel import Channel, Frame
from vulcan_sandbox.globs import matches_any

_CHUNK: Final = 262_144


class ArtifactLimitError(Exception):
    """The run wrote more than it may keep."""


class Artifact:
    """One artifact: a part of its run's spool."""

    def __init__(self, name: str, size_bytes: int, file: IO[bytes], offset: int) -> None:
        self._name = name
        self._size = size_bytes
        self._file = file
        self._offset = offset

    @property
    def name(self) -> str:
        """Its relative path."""
        return self._name

    @property
    def size_bytes(self) -> int:
        """Its size."""
        return self._size

    async def chunks(self) -> AsyncIterator[bytes]:
        """Its content."""
        at, end = self._offset, self._offset + self._size
        while at < end:
            chunk = await asyncio.to_thread(os.pread, self._file.fileno(), min(_CHUNK, end - at), at)
            if not chunk:
                raise OSError(f"the content of {self._name} is cut off")
            at += len(chunk)
            yield chunk


class Spool:
    """A run's artifacts. A name written twice keeps the later content; both count towards the limits."""

    def __init__(self, folder: str | None, *, max_bytes: int, max_count: int) -> None:
        self._folder = folder
        self.max_bytes = max_bytes
        self.max_count = max_count
        self._used = 0
        self._taken = 0
        self._file: IO[bytes] | None = None
        self._by_name: dict[str, Artifact] = {}

    async def take(self, frame: Frame, channel: Channel) -> None:
        """Take the payload of an artifact frame off the channel.

        Raises:
            ArtifactLimitError: with this one it is too much, or too many; nothing of it was read.
            ChannelBrokenError: it ended early.
        """
        offset = self._used
        self._used += frame.size
        self._taken += 1
        if self._used > self.max_bytes:
            raise ArtifactLimitError(f"The artifacts are larger than the disk limit of {self.max_bytes >> 20} MiB.")
        if self._taken > self.max_count:
            raise ArtifactLimitError(f"The run wrote more than {self.max_count} artifacts.")
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115  # closed with the spool
        at = offset
        while at < self._used:
            chunk = await channel.payload(min(self._used - at, _CHUNK))
            await asyncio.to_thread(_write_at, self._file.fileno(), chunk, at)
            at += len(chunk)
        if path_problem(frame.name) is None:  # the Worker refuses these; what comes all the same is dropped
            self._by_name[frame.name] = Artifact(frame.name, frame.size, self._file, offset)

    def matching(self, patterns: list[str]) -> list[Artifact]:
        """Those whose name one of the patterns means."""
        return [artifact for name, artifact in self._by_name.items() if matches_any(patterns, name)]

    def undeclared(self, patterns: list[str]) -> list[str]:
        """The names that no pattern means, and that are therefore not kept."""
        return sorted(name for name in self._by_name if not matches_any(patterns, name))

    def close(self) -> None:
        """Let go of everything."""
        if self._file is not None:
            self._file.close()
        self._by_name.clear()


def _write_at(descriptor: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written
