"""One holder at a time, as far as clocks allow: who is the active one of several.

A key with a time to live; its holder renews it, and everybody else waits for it to expire or to be given back, and
asks the holder whether it is there: the server knows at once when a process was killed, and the lease is free then. A
holder that was cut off may believe in its lease for a moment after another took it, so nothing may be correct because
of a lease alone: the log's fences are what keeps two holders from doing harm.
"""

import asyncio
import contextlib
import hashlib
import logging
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from vulcan_contracts import subjects
from vulcan_eventstore import jetstream
from vulcan_eventstore.connection import Bus
from vulcan_eventstore.errors import EventStoreUnavailableError, NobodyListensError, StaleWriteError
from vulcan_eventstore.message import Message
from vulcan_eventstore.streams import key_value_stream

_STREAM: Final = key_value_stream(subjects.LEASES_BUCKET)
_POLL_S: Final = 0.5
_RETRY_S: Final = 0.25
_RENEWALS_PER_TTL: Final = 3

_log = logging.getLogger(__name__)


class Held:
    """A lease in hand. `lost` is set when it is no more."""

    def __init__(self, revision: int, valid_until: float) -> None:
        self.lost = asyncio.Event()
        self.revision = revision
        self.valid_until = valid_until

    @property
    def valid(self) -> bool:
        """True until it is known to be lost, or was not renewed in time by this process's clock."""
        return not self.lost.is_set() and time.monotonic() < self.valid_until


class Lease:
    """A named lease. `holder` says who asks, to whoever looks; it has to differ between processes."""

    def __init__(self, bus: Bus, name: str, *, holder: str, ttl_s: float = 5.0) -> None:
        self._bus = bus
        self._name = name
        self._holder = holder.encode()
        self._ttl_s = max(1, math.ceil(ttl_s))
        self._subject = f"$KV.{subjects.LEASES_BUCKET}.{name}"
        self._missing: bytes | None = None

    @asynccontextmanager
    async def hold(self) -> AsyncIterator[Held]:
        """Wait, however long, until the lease is ours; renew it while inside; give it back at the end.

        Inside, stop when `lost` is set.

        Raises:
            BusClosedError: the connection is closed for good.
        """
        presence = await self._bus.subscribe(self._presence(self._holder), self._here)
        try:
            held = await self._acquire()
            _log.info("holding the lease %s", self._name)
            keeper = asyncio.create_task(self._keep(held), name=f"lease {self._name}")
            try:
                yield held
            finally:
                keeper.cancel()
                await asyncio.wait([keeper])
                if not held.lost.is_set():
                    held.lost.set()
                    await self._release(held)
        finally:
            await presence.close()

    def _presence(self, holder: bytes) -> str:
        return subjects.lease_holder(self._name, hashlib.sha256(holder).hexdigest()[:32])

    async def _here(self, question: Message) -> None:
        with contextlib.suppress(EventStoreUnavailableError):  # it is asked again
            await self._bus.publish(question.reply, self._holder)

    async def _acquire(self) -> Held:
        changed = asyncio.Event()

        async def wake(_message: Message) -> None:
            changed.set()

        subscription = await self._bus.subscribe(self._subject, wake)
        try:
            while True:
                changed.clear()
                try:
                    await self._bus.wait_connected(self._bus.settings.request_timeout_s)
                    held = await self._try()
                except EventStoreUnavailableError as error:
                    if self._bus.closed:
                        raise
                    _log.debug("lease %s: %s", self._name, error)
                    held = None
                if held is not None:
                    return held
                try:
                    async with asyncio.timeout(_POLL_S):
                        await changed.wait()
                except TimeoutError:
                    continue
        finally:
            await subscription.close()

    async def _try(self) -> Held | None:
        newest = await jetstream.last(self._bus, _STREAM, self._subject)
        if newest is not None and newest.data not in (b"", self._holder) and not await self._deserted(newest.data):
            return None
        return await self._write(0 if newest is None else newest.seq)

    async def _deserted(self, holder: bytes) -> bool:
        """Whether the holder was gone both times of two: after a restart of the server it may be back a bit later."""
        before, self._missing = self._missing, None
        try:
            await self._bus.request(self._presence(holder), b"")
        except NobodyListensError:
            self._missing = holder
        return self._missing is not None and self._missing == before

    async def _write(self, revision: int) -> Held | None:
        """Store our name if the key still has this revision; None if it does not."""
        valid_until = time.monotonic() + self._ttl_s
        headers = {jetstream.EXPECTED_SEQ: str(revision), jetstream.TTL: f"{self._ttl_s}s"}
        try:
            ack = await jetstream.publish(
                self._bus, self._subject, self._holder, headers=headers, timeout_s=self._ttl_s / _RENEWALS_PER_TTL
            )
        except StaleWriteError:
            return None
        return Held(ack.seq, valid_until)

    async def _keep(self, held: Held) -> None:
        reconnected = asyncio.Event()  # another may have it by then
        remove = self._bus.on_reconnect(reconnected.set)
        try:
            await self._renew_until_lost(held, reconnected)
        finally:
            remove()

    async def _renew_until_lost(self, held: Held, reconnected: asyncio.Event) -> None:
        pause_s = self._ttl_s / _RENEWALS_PER_TTL
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, min(pause_s, held.valid_until - time.monotonic()))):
                    await reconnected.wait()
            reconnected.clear()
            pause_s = self._ttl_s / _RENEWALS_PER_TTL
            try:
                renewed = await self._renew(held)
            except EventStoreUnavailableError as error:
                _log.debug("cannot renew the lease %s: %s", self._name, error)
                renewed, pause_s = True, _RETRY_S
            if not renewed or not held.valid:
                _log.warning("lost the lease %s", self._name)
                held.lost.set()
                return

    async def _renew(self, held: Held) -> bool:
        renewed = await self._write(held.revision)
        if renewed is None:
            newest = await jetstream.last(self._bus, _STREAM, self._subject)
            if newest is None or newest.data != self._holder:
                return False
            renewed = await self._write(newest.seq)  # an earlier renewal of ours, whose acknowledgement was lost
        if renewed is None:
            return False
        held.revision, held.valid_until = renewed.revision, renewed.valid_until
        return True

    async def _release(self, held: Held) -> None:
        headers = {jetstream.EXPECTED_SEQ: str(held.revision), "KV-Operation": "DEL"}
        try:
            await jetstream.publish(self._bus, self._subject, b"", headers=headers, timeout_s=1.0)
        except (EventStoreUnavailableError, StaleWriteError) as error:
            _log.info("the lease %s is left to expire: %s", self._name, error)
