"""Core messages that nobody stores: heartbeats, queue snapshots, and questions with one answer. JSON."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import msgspec

from vulcan_eventstore.backoff import at_start
from vulcan_eventstore.connection import Bus, Subscription
from vulcan_eventstore.errors import EventStoreUnavailableError
from vulcan_eventstore.message import Message

_MAX_PENDING: Final = 1024

_log = logging.getLogger(__name__)
_encoder = msgspec.json.Encoder()

T = TypeVar("T")
Q = TypeVar("Q")


async def publish(bus: Bus, subject: str, value: Any) -> bool:
    """Say it to whoever listens now; False while NATS is away, when nobody hears it."""
    try:
        await bus.publish(subject, _encoder.encode(value))
    except EventStoreUnavailableError as error:
        _log.debug("%s: not sent: %s", subject, error)
        return False
    return True


async def subscribe(bus: Bus, subject: str, kind: type[T], callback: Callable[[T], None]) -> Subscription:
    """Call back with each message from now on; it is active on return. What is not a `kind` is logged and skipped.

    Raises:
        EventStoreUnavailableError: NATS does not answer.
    """
    decoder = msgspec.json.Decoder(kind)

    async def receive(message: Message) -> None:
        try:
            value = decoder.decode(message.data)
        except msgspec.DecodeError as error:
            _log.warning("%s: not a %s: %s", subject, kind.__name__, error)
            return
        callback(value)

    subscription = await bus.subscribe(subject, receive, max_pending_messages=_MAX_PENDING)
    return await _active(bus, subscription)


async def request(bus: Bus, subject: str, question: Any, kind: type[T], *, timeout_s: float = 2.0) -> T:
    """Ask, and wait for the answer.

    Raises:
        EventStoreUnavailableError: nobody answered in time, or not with a `kind`.
    """
    reply = await bus.request(subject, _encoder.encode(question), timeout_s=timeout_s)
    try:
        return msgspec.json.decode(reply.data, type=kind)
    except msgspec.DecodeError as error:
        raise EventStoreUnavailableError(f"{subject}: the answer is not a {kind.__name__}: {error}") from error


async def serve(
    bus: Bus, subject: str, kind: type[Q], answer: Callable[[Q], Awaitable[Any]], *, timeout_s: float = 2.0
) -> Subscription:
    """Answer questions, one after the other, each within `timeout_s`; it is active on return.

    A question that cannot be answered gets no reply: whoever asked has a timeout.

    Raises:
        EventStoreUnavailableError: NATS does not answer.
    """
    decoder = msgspec.json.Decoder(kind)

    async def receive(message: Message) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                reply = await answer(decoder.decode(message.data))
                await bus.publish(message.reply, _encoder.encode(reply))
        except msgspec.DecodeError as error:
            _log.warning("%s: not a %s: %s", subject, kind.__name__, error)
        except (TimeoutError, EventStoreUnavailableError) as error:
            _log.warning("%s: not answered: %r", subject, error)

    subscription = await bus.subscribe(subject, receive, max_pending_messages=_MAX_PENDING)
    return await _active(bus, subscription)


async def _active(bus: Bus, subscription: Subscription) -> Subscription:
    try:
        await at_start(bus, bus.settle)
    except BaseException:
        await subscription.close()
        raise
    return subscription
