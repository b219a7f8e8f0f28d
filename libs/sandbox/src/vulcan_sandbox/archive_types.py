"""What the two readers of archives share."""

from collections.abc import Callable, Iterator
from typing import Final

from msgspec import Struct

CHUNK_BYTES: Final = 65_536


class ArchiveRefusedError(Exception):
    """The archive is broken, unsafe or too large. The message names the entry and is fit for its owner's eyes."""


class ArchiveLimits(Struct, frozen=True, kw_only=True):
    """How much may come out of an archive."""

    max_bytes: int
    max_entries: int = 10_000


class ArchiveEntry(Struct, frozen=True, kw_only=True):
    """One file or folder, as its reader found it. `chunks` is for now only: before the next entry is asked for.

    `declared_bytes` is its size where the content need not be read to know it.
    """

    name: str
    is_folder: bool
    executable: bool
    declared_bytes: int | None
    chunks: Callable[[], Iterator[bytes]]
