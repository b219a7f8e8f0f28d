"""Large things by name: uploaded sources, artifacts, checkpoints.

Stored as the NATS object store lays them out, so that `nats object` shows them, but not by nats-py's object store: that
takes and gives no stream of bytes, holds a whole object while it reads it (copying it once per chunk), and waits
without a deadline. Here no more than a few chunks are in memory. Content is visible only once complete, and replaces
what was there in one step.
"""

import base64
import hashlib
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import datetime
from typing import Final

import msgspec
from msgspec import Struct

from vulcan_contracts import subjects
from vulcan_contracts.clock import utc_now
from vulcan_contracts.ids import ulid
from vulcan_eventstore import jetstream
from vulcan_eventstore.backoff import patiently, within
from vulcan_eventstore.connection import Bus
from vulcan_eventstore.errors import (
    BlobCorruptError,
    BlobNotFoundError,
    BlobTooLargeError,
    EventStoreError,
    EventStoreUnavailableError,
)
from vulcan_eventstore.streams import object_stream

_CHUNK_BYTES: Final = 128 * 1024
_READ_AHEAD_BYTES: Final = 1024 * 1024
_DIGEST: Final = "SHA-256="
_DEADLINE_S: Final = 10.0
"""For each message; a blob of any size may take as long as it keeps moving."""


class BlobInfo(Struct, frozen=True, kw_only=True):
    """What is known of a blob without reading it."""

    name: str
    size_bytes: int
    sha256: str
    stored_at: datetime


class _Meta(Struct, kw_only=True):
    """The description that the NATS object store keeps of an object."""

    name: str
    bucket: str
    nuid: str
    size: int
    chunks: int
    digest: str = ""
    mtime: datetime
    deleted: bool = False

    def info(self) -> BlobInfo:
        digest = base64.urlsafe_b64decode(self.digest.removeprefix(_DIGEST)).hex()
        return BlobInfo(name=self.name, size_bytes=self.size, sha256=digest, stored_at=self.mtime)


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_Meta)


class Blobs:
    """One object bucket."""

    def __init__(self, bus: Bus, bucket: str = subjects.BLOBS_BUCKET) -> None:
        self._bus = bus
        self._bucket = bucket
        self._stream = object_stream(bucket)

    async def put(self, name: str, content: AsyncIterator[bytes], *, max_bytes: int | None = None) -> BlobInfo:
        """Store content under a name; what the name held before is gone then.

        Raises:
            BlobTooLargeError: there is more than `max_bytes` of it; nothing is stored.
            EventStoreUnavailableError: NATS stopped answering on the way; nothing is stored, or not known to be.
        """
        before = await self._meta(name)
        meta = _Meta(name=name, bucket=self._bucket, nuid=ulid(), size=0, chunks=0, mtime=utc_now())
        try:
            await self._put_chunks(meta, content, max_bytes)
            await self._put_meta(meta)
        except BaseException:
            await self._drop_chunks(meta.nuid)
            raise
        if before is not None and not before.deleted:
            await self._drop_chunks(before.nuid)
        return meta.info()

    async def open(self, name: str) -> AsyncIterator[bytes]:
        """The content, piece by piece, checked against its digest at the end.

        Raises:
            BlobNotFoundError: there is no such blob.
            BlobCorruptError: what is stored is not what was put; also when it is replaced while being read.
            EventStoreUnavailableError: NATS stopped answering on the way.
        """
        meta = await self._meta(name)
        if meta is None or meta.deleted:
            raise BlobNotFoundError(f"there is no blob {name}")
        digest, left, seq = hashlib.sha256(), meta.chunks, 1
        while left:
            page = await self._chunks(meta.nuid, seq)
            if not page:
                raise BlobCorruptError(f"{name}: {left} of {meta.chunks} chunks are missing")
            for chunk in page:
                digest.update(chunk.data)
                yield chunk.data
            left -= len(page)
            seq = page[-1].seq + 1
        if digest.hexdigest() != meta.info().sha256:
            raise BlobCorruptError(f"{name}: the stored content has another digest")

    async def read(self, name: str, *, max_bytes: int) -> bytes:
        """The whole content of a small blob.

        Raises:
            BlobTooLargeError: it is larger than `max_bytes`.
            BlobNotFoundError, BlobCorruptError, EventStoreUnavailableError: as `open`.
        """
        content = bytearray()
        async for chunk in self.open(name):
            content += chunk
            if len(content) > max_bytes:
                raise BlobTooLargeError(f"{name} is larger than {max_bytes} bytes")
        return bytes(content)

    async def info(self, name: str) -> BlobInfo | None:
        """What is known of a blob; None if there is none.

        Raises:
            EventStoreUnavailableError: NATS does not answer.
        """
        meta = await self._meta(name)
        return None if meta is None or meta.deleted else meta.info()

    async def delete(self, name: str) -> None:
        """Remove a blob. Harmless where there is none.

        Raises:
            EventStoreUnavailableError: NATS does not answer; removed or not.
        """
        meta = await self._meta(name)
        if meta is None or meta.deleted:
            return
        nuid = meta.nuid
        gone = _Meta(name=name, bucket=self._bucket, nuid=nuid, size=0, chunks=0, mtime=utc_now(), deleted=True)
        await self._put_meta(gone)
        await self._drop_chunks(nuid)

    async def _put_chunks(self, meta: _Meta, content: AsyncIterator[bytes], max_bytes: int | None) -> None:
        digest, buffer = hashlib.sha256(), bytearray()
        async for piece in content:
            meta.size += len(piece)
            if max_bytes is not None and meta.size > max_bytes:
                raise BlobTooLargeError(f"{meta.name} is larger than {max_bytes} bytes")
            digest.update(piece)
            buffer += piece
            while len(buffer) >= _CHUNK_BYTES:
                await self._put_chunk(meta, bytes(buffer[:_CHUNK_BYTES]))
                del buffer[:_CHUNK_BYTES]
        if buffer:
            await self._put_chunk(meta, bytes(buffer))
        meta.digest = _DIGEST + base64.urlsafe_b64encode(digest.digest()).decode()

    async def _put_chunk(self, meta: _Meta, chunk: bytes) -> None:
        headers = {jetstream.MSG_ID: f"{meta.nuid}.{meta.chunks}"}  # stored once, however often it is sent
        await self._store(f"$O.{self._bucket}.C.{meta.nuid}", chunk, headers)
        meta.chunks += 1

    async def _put_meta(self, meta: _Meta) -> None:
        await self._store(self._meta_subject(meta.name), _encoder.encode(meta), {jetstream.ROLLUP: "sub"})

    async def _store(self, subject: str, payload: bytes, headers: dict[str, str]) -> None:
        publish = patiently(self._bus, "blob", lambda: jetstream.publish(self._bus, subject, payload, headers=headers))
        await within(_DEADLINE_S, publish)

    async def _drop_chunks(self, nuid: str) -> None:
        with suppress(EventStoreUnavailableError):  # unreachable chunks cost room, and nothing else
            await jetstream.purge(self._bus, self._stream, f"$O.{self._bucket}.C.{nuid}")

    async def _chunks(self, nuid: str, seq: int) -> list[jetstream.Stored]:
        subject = f"$O.{self._bucket}.C.{nuid}"

        async def page() -> list[jetstream.Stored]:
            return await jetstream.direct_many(
                self._bus, self._stream, subject, from_seq=seq, max_bytes=_READ_AHEAD_BYTES
            )

        return await within(_DEADLINE_S, patiently(self._bus, "blob", page))

    async def _meta(self, name: str) -> _Meta | None:
        subject = self._meta_subject(name)
        stored = await within(
            _DEADLINE_S,
            patiently(self._bus, "blob", lambda: jetstream.last(self._bus, self._stream, subject)),
        )
        if stored is None:
            return None
        try:
            return _decoder.decode(stored.data)
        except msgspec.DecodeError as error:
            raise EventStoreError(f"{self._bucket}: the description of {name} is broken: {error}") from error

    def _meta_subject(self, name: str) -> str:
        return f"$O.{self._bucket}.M.{base64.urlsafe_b64encode(name.encode()).decode()}"

    async def list(self, prefix: str = "") -> list[BlobInfo]:
        """Every blob whose name starts so, by name. Reads the description of every blob: not for hot paths.

        Raises:
            EventStoreUnavailableError: NATS does not answer.
        """
        found: list[BlobInfo] = []
        seq = 1
        while True:
            page = await jetstream.direct_many(self._bus, self._stream, f"$O.{self._bucket}.M.>", from_seq=seq)
            metas = [_decoder.decode(each.data) for each in page]
            found += [meta.info() for meta in metas if not meta.deleted and meta.name.startswith(prefix)]
            if not page or page[-1].headers.get("Nats-Num-Pending") == "0":
                return sorted(found, key=lambda info: info.name)
            seq = page[-1].seq + 1
