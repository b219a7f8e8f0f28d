"""Every message of a stream from a position on, in order, exactly once, whatever happens to the server meanwhile.

An ephemeral pull consumer that acknowledges nothing; the position is kept here. The consumer numbers what it delivers
without gaps, also where a filter leaves holes in the stream's numbers. At the first doubt (a hole, no sign of life, a
lost connection, a consumer gone) it is given up and a new one starts behind the last message seen. Messages are pulled,
so a reader that is busy gets no more than it asked for.
"""

import asyncio
import itertools
import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

import msgspec
from msgspec import Struct

from vulcan_eventstore import metrics
from vulcan_eventstore.backoff import patiently
from vulcan_eventstore.connection import Bus, Subscription
from vulcan_eventstore.errors import ApiError, EventStoreUnavailableError, PositionLostError
from vulcan_eventstore.jetstream import STREAM_NOT_FOUND, call, nanoseconds
from vulcan_eventstore.message import Message

_HEARTBEAT_S: Final = 1.0
_SILENCE_S: Final = 3.0
_PULL_EXPIRES_S: Final = 30.0
_INACTIVE_S: Final = 60.0
_LITTLE_BYTES: Final = 16 * 1024
_PULL_MAX_BYTES: Final = 8 * 1024 * 1024
_PULL_DONE: Final = "Batch Completed"
"""All that a pull asked for has been delivered, in fewer bytes than it allowed: no trouble, in spite of its number."""

_log = logging.getLogger(__name__)
_names = itertools.count()


class _StreamState(Struct):
    last_seq: int = 0


class _StreamInfo(Struct):
    state: _StreamState
    created: str = ""


class _ConsumerInfo(Struct):
    num_pending: int = 0


_stream_info = msgspec.json.Decoder(_StreamInfo)
_consumer_info = msgspec.json.Decoder(_ConsumerInfo)
_encoder = msgspec.json.Encoder()


class Delivered:
    """One message of the stream."""

    __slots__ = ("_message", "seq")

    def __init__(self, seq: int, message: Message) -> None:
        self.seq = seq
        self._message = message

    @property
    def subject(self) -> str:
        """Where it was published."""
        return self._message.subject

    @property
    def data(self) -> bytes:
        """Its payload."""
        return self._message.data

    @property
    def headers(self) -> Mapping[str, str]:
        """Its headers."""
        return self._message.headers


async def last_seq(bus: Bus, stream: str) -> int:
    """The sequence of the newest message of a stream; 0 if there never was one.

    Raises:
        EventStoreUnavailableError: NATS does not answer.
    """
    return (await _info(bus, stream)).state.last_seq


async def _info(bus: Bus, stream: str) -> _StreamInfo:
    try:
        return _stream_info.decode(await call(bus, f"STREAM.INFO.{stream}"))
    except ApiError as error:
        if error.err_code != STREAM_NOT_FOUND:
            raise
        _log.warning("there is no stream %s", stream)  # yet, or for the moment: its owner makes it
        raise EventStoreUnavailableError(f"there is no stream {stream}") from error


class OrderedReader:
    """Reads one stream. `pending` is how many messages were known to follow the last one received.

    linger_s: how long a batch of little waits for what may yet come.
    """

    def __init__(
        self, bus: Bus, stream: str, *, filter_subject: str, after_seq: int, max_batch: int, linger_s: float = 0.0
    ) -> None:
        self._bus = bus
        self._stream = stream
        self._filter = filter_subject
        self._max_batch = max_batch
        self._linger_s = linger_s
        self._seq = after_seq
        self._buffer: list[Delivered] = []
        self._wake = asyncio.Event()
        self._consumer: _Consumer | None = None
        self._created = ""
        self.pending = -1

    async def open(self) -> None:
        """Put the consumer in place, so that `pending` is known. `next` does it by itself.

        Raises:
            PositionLostError: the stream ends before the position, or is another one than it was.
            BusClosedError: the connection is closed for good.
        """
        if self._consumer is None:
            self._consumer = await patiently(self._bus, "consumer", self._create)

    async def next(self) -> list[Delivered]:
        """The next messages, at least one, at most `max_batch`, as soon as there is any and the linger is over.

        Raises:
            PositionLostError: the stream ends before the position, or is another one than it was.
            BusClosedError: the connection is closed for good.
        """
        while True:
            if self._buffer:
                if self._linger_s and self.pending == 0 and self._little:
                    await asyncio.sleep(self._linger_s)
                batch, self._buffer = self._buffer[: self._max_batch], self._buffer[self._max_batch :]
                return batch
            if self._consumer is None:
                await self.open()
            elif self._consumer.doubt:
                await self._give_up(self._consumer)
            else:
                await self._wait(self._consumer)

    @property
    def _little(self) -> bool:
        """True if what is at hand is hardly worth a transaction."""
        return sum([len(delivered.data) for delivered in self._buffer]) < _LITTLE_BYTES

    @property
    def buffered(self) -> bool:
        """True if `next` has something at hand."""
        return bool(self._buffer)

    async def close(self) -> None:
        """Let the server forget the consumer. Safe to repeat."""
        if self._consumer is not None:
            consumer, self._consumer = self._consumer, None
            await consumer.close()

    async def _wait(self, consumer: "_Consumer") -> None:
        self._wake.clear()  # first of all: what comes while the pull is sent counts
        try:
            await consumer.pull_if_low()
        except EventStoreUnavailableError:
            consumer.doubt = "the connection is down"
            return
        await self._wake.wait()  # at the latest the consumer's silence ends it

    async def _give_up(self, consumer: "_Consumer") -> None:
        _log.info("%s: reading on behind %d with a new consumer: %s", self._stream, self._seq, consumer.doubt)
        metrics.RESUMES.labels(self._stream).inc()
        self._consumer = None
        await consumer.close()

    async def _create(self) -> "_Consumer":
        info = await _info(self._bus, self._stream)
        if info.state.last_seq < self._seq:
            message = f"{self._stream} ends at {info.state.last_seq}, before the position {self._seq}"
            raise PositionLostError(message)
        if self._created not in ("", info.created):
            raise PositionLostError(f"{self._stream} was made anew")
        self._created = info.created
        consumer = _Consumer(self._bus, self._stream, self._max_batch, self)
        try:
            self.pending = await consumer.start(self._filter, self._seq + 1)
        except BaseException:
            await consumer.close()
            raise
        return consumer

    def accept(self, consumer: "_Consumer", delivered: Delivered, pending: int) -> None:
        """Take one message from the current consumer; called by it."""
        if consumer is not self._consumer and self._consumer is not None:
            return
        self._seq = delivered.seq
        self.pending = pending
        self._buffer.append(delivered)
        self._wake.set()

    def wake(self) -> None:
        """Look at the consumer's state; called by it."""
        self._wake.set()


class _Consumer:
    """One life of the consumer at the server. `doubt` says why it is not to be trusted any more."""

    def __init__(self, bus: Bus, stream: str, max_batch: int, reader: OrderedReader) -> None:
        self._bus = bus
        self._stream = stream
        self._reader = reader
        self._max_batch = max_batch
        self._inbox = bus.new_inbox()
        self._name = f"f{self._inbox.rsplit('.', 1)[-1]}{next(_names)}"
        self._next_request = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{self._name}"
        self._pull = _encoder.encode(
            {
                "batch": max_batch,
                "expires": nanoseconds(_PULL_EXPIRES_S),
                "idle_heartbeat": nanoseconds(_HEARTBEAT_S),
                "max_bytes": _PULL_MAX_BYTES,
            }
        )
        self._subscription: Subscription | None = None
        self._remove_hook = bus.on_disconnect(lambda: self._distrust("the connection was lost"))
        self._delivered = 0
        self._outstanding = 0
        self.doubt = ""
        self._last_sign = time.monotonic()
        self._silence = asyncio.get_running_loop().call_later(_SILENCE_S, self._listen)

    async def start(self, filter_subject: str, from_seq: int) -> int:
        self._subscription = await self._bus.subscribe_directly(self._inbox, self._receive)
        config: dict[str, Any] = {
            "name": self._name,
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": from_seq,
            "ack_policy": "none",
            "filter_subject": filter_subject,
            "inactive_threshold": nanoseconds(_INACTIVE_S),
            "mem_storage": True,
            "num_replicas": 1,
        }
        answer = await call(
            self._bus,
            f"CONSUMER.CREATE.{self._stream}.{self._name}",
            {"stream_name": self._stream, "config": config, "action": "create"},
        )
        await self.pull_if_low()
        return _consumer_info.decode(answer).num_pending

    async def pull_if_low(self) -> None:
        if self._outstanding <= self._max_batch // 2:
            self._outstanding += self._max_batch
            self._last_sign = time.monotonic()  # without a pull under way the server has nothing to say
            await self._bus.publish(self._next_request, self._pull, reply=self._inbox)

    async def close(self) -> None:
        self.doubt = self.doubt or "closed"
        self._silence.cancel()
        self._remove_hook()
        if self._subscription is not None:
            await self._subscription.close()
            if self._bus.connected:
                with suppress(EventStoreUnavailableError):  # it goes by itself, once inactive
                    await self._bus.publish(f"$JS.API.CONSUMER.DELETE.{self._stream}.{self._name}", b"")

    def _listen(self) -> None:
        left_s = self._last_sign + _SILENCE_S - time.monotonic()
        if left_s <= 0 and self._outstanding > 0:
            self._distrust("no sign of life")
        else:
            self._silence = asyncio.get_running_loop().call_later(left_s if left_s > 0 else _SILENCE_S, self._listen)

    def _distrust(self, why: str) -> None:
        self.doubt = self.doubt or why
        self._reader.wake()

    def _receive(self, message: Message) -> None:
        if self.doubt:
            return
        self._last_sign = time.monotonic()
        if message.status is not None:
            self._status(message.status, message.headers)
            return
        seq, delivered, pending = message.delivery
        if delivered != self._delivered + 1:
            self._distrust(f"delivery {self._delivered + 1} is missing")
            return
        self._delivered = delivered
        self._outstanding -= 1
        self._reader.accept(self, Delivered(seq, message), pending)

    def _status(self, status: str, headers: Mapping[str, str]) -> None:
        why = headers.get("Description", "")
        if status == "100" or (status == "409" and why == _PULL_DONE):
            return
        if status in ("404", "408") or (status == "409" and "MaxBytes" in why):
            self._outstanding -= int(headers.get("Nats-Pending-Messages", self._outstanding))
            self._reader.wake()
        else:
            self._distrust(f"{status} {why}")
