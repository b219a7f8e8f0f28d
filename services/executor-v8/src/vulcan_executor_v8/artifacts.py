"""What a run hands over with `Vulcan.artifact`: kept in nameless files, so that no crash leaves one behind."""

import asyncio
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
    """One artifact, spooled."""

    def __init__(self, name: str, size_bytes: int, file: IO[bytes]) -> None:
        self._name = name
        self._size = size_bytes
        self._file = file

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
        offset = 0
        while offset < self._size:
            chunk = await asyncio.to_thread(self._read, offset)
            offset += len(chunk)
            yield chunk

    def _read(self, offset: int) -> bytes:
        self._file.seek(offset)
        return self._file.read(_CHUNK)

    def close(self) -> None:
        """Let go of the content."""
        self._file.close()


class Spool:
    """A run's artifacts. A name written twice keeps the later content; both count towards the limit."""

    def __init__(self, folder: str | None, *, max_bytes: int, max_count: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._max_count = max_count
        self._used = 0
        self._by_name: dict[str, Artifact] = {}

    async def take(self, frame: Frame, channel: Channel) -> None:
        """Take the payload of an artifact frame off the channel.

        Raises:
            ArtifactLimitError: with this one it is too much, or too many; nothing of it was read.
            ChannelBrokenError: it ended early.
        """
        self._used += frame.size
        if self._used > self._max_bytes:
            raise ArtifactLimitError(f"The artifacts are larger than the disk limit of {self._max_bytes >> 20} MiB.")
        if len(self._by_name) >= self._max_count and frame.name not in self._by_name:
            raise ArtifactLimitError(f"The run wrote more than {self._max_count} artifacts.")
        file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115  # closed with the spool
        artifact = Artifact(frame.name, frame.size, file)
        try:
            left = frame.size
            while left:
                chunk = await channel.payload(min(left, _CHUNK))
                left -= len(chunk)
                await asyncio.to_thread(file.write, chunk)
        except BaseException:
            file.close()
            raise
        if path_problem(frame.name) is not None:  # the Worker refuses these; what comes all the same is dropped
            file.close()
            return
        replaced = self._by_name.pop(frame.name, None)
        if replaced is not None:
            replaced.close()
        self._by_name[frame.name] = artifact

    def matching(self, patterns: list[str]) -> list[Artifact]:
        """Those whose name one of the patterns means."""
        return [artifact for name, artifact in self._by_name.items() if matches_any(patterns, name)]

    def undeclared(self, patterns: list[str]) -> list[str]:
        """The names that no pattern means, and that are therefore not kept."""
        return sorted(name for name in self._by_name if not matches_any(patterns, name))

    def close(self) -> None:
        """Let go of everything."""
        for artifact in self._by_name.values():
            artifact.close()
        self._by_name.clear()
