"""Small things by key: API keys, tenants, drain flags. NATS key-value buckets, so that `nats kv` shows them.

Beside reading one, a `Mirror` keeps a whole bucket in memory and current, for what is asked on every request.
"""

import asyncio
import logging
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, Generic, Self, TypeVar

import msgspec
from msgspec import Struct

from vulcan_eventstore import jetstream
from vulcan_eventstore.backoff import within
from vulcan_eventstore.connection import Bus
from vulcan_eventstore.errors import (
    BusClosedError,
    EventStoreError,
    KeyExistsError,
    RevisionConflictError,
    StaleWriteError,
)
from vulcan_eventstore.jetstream import Stored
from vulcan_eventstore.ordered import Delivered, OrderedReader
from vulcan_eventstore.streams import key_value_stream

_KEY: Final = re.compile(r"[-/_=a-zA-Z0-9]+(\.[-/_=a-zA-Z0-9]+)*")
_OPERATION: Final = "KV-Operation"
_MARKER_REASON: Final = "Nats-Marker-Reason"
_BATCH: Final = 500
_PAUSE_S: Final = 0.2

_log = logging.getLogger(__name__)

T = TypeVar("T")


class Entry(Struct, Generic[T], frozen=True):
    """A value, and the revision to change it by."""

    value: T
    revision: int


class Bucket(Generic[T]):
    """One bucket, whose values are all of one type, stored as JSON. Each call has the connection's request timeout."""

    def __init__(self, bus: Bus, name: str, kind: type[T]) -> None:
        self._bus = bus
        self._name = name
        self._kind = kind
        self._stream = key_value_stream(name)
        self._prefix = f"$KV.{name}."
        self._encoder = msgspec.json.Encoder()
        self._decoder = msgspec.json.Decoder(kind)

    async def get(self, key: str) -> Entry[T] | None:
        """The value of a key, strongly consistent; None if there is none.

        Raises:
            EventStoreUnavailableError: NATS does not answer.
            EventStoreError: what is stored is not of the bucket's type.
        """
        stored = await self._last(key)
        if stored is None or _is_marker(stored.headers):
            return None
        return Entry(self.decode(stored.data), stored.seq)

    async def put(self, key: str, value: T) -> int:
        """Store a value, whatever was there; the new revision.

        Raises:
            EventStoreUnavailableError: NATS does not answer; stored or not.
        """
        return (await jetstream.publish(self._bus, self._subject(key), self._encoder.encode(value))).seq

    async def create(self, key: str, value: T) -> int:
        """Store a value under a new key; its revision.

        Raises:
            KeyExistsError: the key is there already.
            EventStoreUnavailableError: NATS does not answer; stored or not.
        """
        stored = await self._last(key)
        if stored is not None and not _is_marker(stored.headers):
            raise KeyExistsError(f"{self._name} has {key} already")
        try:
            return await self.update(key, value, 0 if stored is None else stored.seq)
        except RevisionConflictError:
            raise KeyExistsError(f"{self._name} has {key} already") from None

    async def update(self, key: str, value: T, revision: int) -> int:
        """Store a value if the key still has this revision (0: there never was such a key); the new revision.

        Raises:
            RevisionConflictError: it changed meanwhile.
            EventStoreUnavailableError: NATS does not answer; stored or not.
        """
        headers = {jetstream.EXPECTED_SEQ: str(revision)}
        try:
            ack = await jetstream.publish(self._bus, self._subject(key), self._encoder.encode(value), headers=headers)
        except StaleWriteError:
            raise RevisionConflictError(f"{self._name}: {key} is not at revision {revision}") from None
        return ack.seq

    async def delete(self, key: str) -> None:
        """Remove a key. Harmless where there is none.

        Raises:
            EventStoreUnavailableError: NATS does not answer; removed or not.
        """
        await jetstream.publish(self._bus, self._subject(key), b"", headers={_OPERATION: "DEL"})

    async def keys(self) -> list[str]:
        """Every key, sorted.

        Raises:
            EventStoreUnavailableError: NATS does not answer.
        """
        found: list[str] = []
        seq = 1
        while True:
            page = await jetstream.direct_many(self._bus, self._stream, f"{self._prefix}>", from_seq=seq)
            found += [each.subject.removeprefix(self._prefix) for each in page if not _is_marker(each.headers)]
            if not page or page[-1].headers.get("Nats-Num-Pending") == "0":
                return sorted(set(found))
            seq = page[-1].seq + 1

    async def mirror(
        self, on_change: Callable[[str, T | None], None] | None = None, *, timeout_s: float = 10.0
    ) -> "Mirror[T]":
        """The whole bucket in memory, complete on return and kept current until closed.

        on_change: told each key that changes, with its new value (None: removed), those of the first load included.

        Raises:
            EventStoreUnavailableError: NATS does not answer.
        """
        mirror = Mirror(self, self._reader, self._prefix, on_change)
        try:
            await within(timeout_s, mirror.load())
        except BaseException:
            await mirror.close()
            raise
        return mirror

    def decode(self, data: bytes) -> T:
        """A stored value.

        Raises:
            EventStoreError: it is not of the bucket's type.
        """
        try:
            return self._decoder.decode(data)
        except msgspec.DecodeError as error:
            raise EventStoreError(f"{self._name}: not a {self._kind.__name__}: {error}") from error

    def _reader(self) -> OrderedReader:
        return OrderedReader(self._bus, self._stream, filter_subject=f"{self._prefix}>", after_seq=0, max_batch=_BATCH)

    async def _last(self, key: str) -> Stored | None:
        return await jetstream.last(self._bus, self._stream, self._subject(key))

    def _subject(self, key: str) -> str:
        if not _KEY.fullmatch(key):
            raise ValueError(f"not a key: {key!r}")
        return self._prefix + key


class Mirror(Generic[T]):
    """A bucket in memory. A moment behind the bucket itself; while NATS is away, as it was before."""

    def __init__(
        self,
        bucket: Bucket[T],
        new_reader: Callable[[], OrderedReader],
        prefix: str,
        on_change: Callable[[str, T | None], None] | None,
    ) -> None:
        self._bucket = bucket
        self._new_reader = new_reader
        self._reader = new_reader()
        self._prefix = prefix
        self._on_change = on_change
        self._values: dict[str, T] = {}
        self._stale: set[str] = set()
        self.values = MappingProxyType(self._values)
        """Every key and its value."""
        self._task: asyncio.Task[None] | None = None

    def get(self, key: str) -> T | None:
        """The value of a key, or None."""
        return self._values.get(key)

    async def load(self) -> None:
        """Read what is there, and go on reading in a task of its own; `Bucket.mirror` calls it."""
        await self._read_all()
        self._task = asyncio.create_task(self._follow(), name=f"mirror {self._prefix}")

    async def close(self) -> None:
        """Stop following. Safe to repeat."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._reader.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.close()

    async def _read_all(self) -> None:
        await self._reader.open()
        while self._reader.pending > 0 or self._reader.buffered:
            await self._apply_next()

    async def _follow(self) -> None:
        while True:
            try:
                await self._reader.open()
                if self._stale and self._reader.pending == 0 and not self._reader.buffered:
                    self._drop_stale()
                await self._apply_next()
            except BusClosedError:
                return  # nothing can change any more
            except EventStoreError as error:
                _log.error("reading the bucket anew: %s", error)
                await asyncio.sleep(_PAUSE_S)
                await self._reader.close()
                self._reader = self._new_reader()
                self._stale = set(self._values)

    def _drop_stale(self) -> None:
        """Forget the keys that the bucket read anew does not have."""
        stale, self._stale = self._stale, set()
        for key in stale:
            self._values.pop(key, None)
            self._tell(key, None)

    async def _apply_next(self) -> None:
        for each in await self._reader.next():
            self._apply(each)

    def _apply(self, delivered: Delivered) -> None:
        key = delivered.subject.removeprefix(self._prefix)
        self._stale.discard(key)
        value: T | None = None
        if not _is_marker(delivered.headers):
            try:
                value = self._bucket.decode(delivered.data)
            except EventStoreError as error:
                _log.error("%s: ignored: %s", key, error)
        if value is None:
            self._values.pop(key, None)
        else:
            self._values[key] = value
        self._tell(key, value)

    def _tell(self, key: str, value: T | None) -> None:
        if self._on_change is None:
            return
        try:
            self._on_change(key, value)
        except Exception:  # noqa: BLE001 - the mirror goes on, whatever its reader makes of a change
            _log.exception("%s: on_change failed", key)


def _is_marker(headers: Mapping[str, str]) -> bool:
    """True for what stands where a key was removed or expired."""
    return _OPERATION in headers or _MARKER_REASON in headers
