"""What a projector needs to know of a projection."""

from collections.abc import AsyncGenerator, Iterable, Sequence
from typing import Protocol, TypeVar

from vulcan_eventstore import jetstream
from vulcan_eventstore.connection import Bus
from vulcan_logstore.db.database import Connection


class Sequenced(Protocol):
    """Something with a place in its stream."""

    @property
    def seq(self) -> int:
        """The stream sequence."""
        ...


T = TypeVar("T", bound=Sequenced)


class NotPreparedError(Exception):
    """Something has to be there before this can be written; `Projection.prepare` makes it."""


class Projection(Protocol[T]):
    """From one stream into one table."""

    @property
    def name(self) -> str:
        """The name of its position."""
        ...

    def follow(self, after_seq: int) -> AsyncGenerator[list[T], None]:
        """What the stream holds behind `after_seq`, in order, without end."""
        ...

    async def last_seq(self) -> int:
        """The newest message that the stream still holds; 0 if it holds none."""
        ...

    def split(self, items: Sequence[T]) -> Iterable[list[T]]:
        """The items in parts that go into one transaction each."""
        ...

    async def prepare(self, items: Sequence[T]) -> None:
        """Make what `write` said is missing."""
        ...

    async def write(self, connection: Connection, items: Sequence[T]) -> int:
        """Write what the items stand for, in the caller's transaction; how many rows it was.

        Raises:
            NotPreparedError: call `prepare` with the same items, then write again.
        """
        ...


async def newest_held(bus: Bus, stream: str, subject: str) -> int:
    """The newest message that a stream still holds; 0 if it holds none, its messages having aged out or never come."""
    stored = await jetstream.leader_last(bus, stream, subject)
    return 0 if stored is None else stored.seq
