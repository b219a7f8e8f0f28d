"""The part of JetStream's wire API that the event store needs, as plain functions over a `Bus`.

Raw requests rather than nats-py's JetStream layer: that layer leaves futures pending for ever when an acknowledgement
is an error, has no deadline on several reads, and costs a third of a publish's latency.
https://docs.nats.io/reference/reference-protocols/nats_api_reference
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from vulcan_eventstore.connection import Bus
from vulcan_eventstore.errors import ApiError, EventStoreError, EventStoreUnavailableError, StaleWriteError
from vulcan_eventstore.message import Message, parse_headers

MSG_ID: Final = "Nats-Msg-Id"
EXPECTED_SEQ: Final = "Nats-Expected-Last-Subject-Sequence"
EXPECTED_SEQ_SUBJECT: Final = "Nats-Expected-Last-Subject-Sequence-Subject"
ROLLUP: Final = "Nats-Rollup"
TTL: Final = "Nats-TTL"

STREAM_NAME_IN_USE: Final = 10058
STREAM_NOT_FOUND: Final = 10059
CONSUMER_NOT_FOUND: Final = 10014
_WRONG_LAST_SEQUENCE: Final = frozenset({10071, 10164})
_NO_MESSAGE_FOUND: Final = 10037
_TEMPORARY: Final = 503

_NANOSECONDS: Final = 1_000_000_000


class _Error(Struct):
    code: int
    err_code: int = 0
    description: str = ""


class PubAck(Struct):
    """The server's word that a message is stored. `duplicate`: it was already."""

    seq: int = 0
    duplicate: bool = False
    error: _Error | None = None


class _Reply(Struct):
    error: _Error | None = None


class Stored(Struct, frozen=True):
    """One stored message. `headers` has the message's own and, from a direct get, the server's."""

    seq: int
    subject: str
    data: bytes
    headers: Mapping[str, str]


class _RawMessage(Struct):
    subject: str
    seq: int
    data: bytes = b""
    hdrs: bytes = b""


class _RawReply(Struct):
    error: _Error | None = None
    message: _RawMessage | None = None


_ack_decoder = msgspec.json.Decoder(PubAck)
_reply_decoder = msgspec.json.Decoder(_Reply)
_raw_decoder = msgspec.json.Decoder(_RawReply)
_encoder = msgspec.json.Encoder()


def nanoseconds(seconds: float) -> int:
    """A duration as the API takes it."""
    return int(seconds * _NANOSECONDS)


async def publish(
    bus: Bus, subject: str, payload: bytes, *, headers: Mapping[str, str] | None = None, timeout_s: float | None = None
) -> PubAck:
    """Store a message and wait for the acknowledgement.

    Raises:
        StaleWriteError: a fence in the headers did not hold.
        EventStoreUnavailableError: no acknowledgement; the message may be stored or not.
        ApiError: refused for another reason.
        PayloadTooLargeError: the server takes no message of this size.
    """
    reply = await bus.request(subject, payload, headers=headers, timeout_s=timeout_s)
    ack = _ack_decoder.decode(reply.data)
    if ack.error is not None:
        raise _as_exception(ack.error)
    return ack


async def call(bus: Bus, operation: str, body: Any = None, *, timeout_s: float | None = None) -> bytes:
    """One request to the management API; the raw JSON of its answer.

    Raises:
        ApiError: refused.
        EventStoreUnavailableError: no answer in time, or the server says to try later.
    """
    payload = b"" if body is None else _encoder.encode(body)
    reply = await bus.request(f"$JS.API.{operation}", payload, timeout_s=timeout_s)
    error = _reply_decoder.decode(reply.data).error
    if error is not None:
        raise _as_exception(error)
    return reply.data


async def purge(bus: Bus, stream: str, subject: str) -> None:
    """Remove every message of a subject."""
    await call(bus, f"STREAM.PURGE.{stream}", {"filter": subject})


async def direct_last(bus: Bus, stream: str, subject: str) -> Stored | None:
    """The last message of an exact subject, from any replica: not strongly consistent where there are several."""
    reply = await bus.request(f"$JS.API.DIRECT.GET.{stream}.{subject}", b"")
    return _direct(reply, stream)


async def leader_last(bus: Bus, stream: str, subject: str) -> Stored | None:
    """The last message of a subject, wildcards allowed, from the stream's leader: strongly consistent."""
    reply = await bus.request(f"$JS.API.STREAM.MSG.GET.{stream}", _encoder.encode({"last_by_subj": subject}))
    answer = _raw_decoder.decode(reply.data)
    if answer.error is not None:
        if answer.error.err_code == _NO_MESSAGE_FOUND:
            return None
        raise _as_exception(answer.error)
    message = answer.message
    return None if message is None else Stored(message.seq, message.subject, message.data, parse_headers(message.hdrs))


async def last(bus: Bus, stream: str, subject: str) -> Stored | None:
    """The last message of an exact subject, strongly consistent, the cheapest way that is."""
    if bus.settings.replicas == 1:
        return await direct_last(bus, stream, subject)
    return await leader_last(bus, stream, subject)


async def direct_many(
    bus: Bus, stream: str, subject: str, *, from_seq: int = 1, limit: int = 1024, max_bytes: int = 8 * 1024 * 1024
) -> list[Stored]:
    """Messages of a subject, wildcards allowed, in order from a sequence, at most `limit` and about `max_bytes`."""
    return await _direct_batch(
        bus, stream, {"seq": from_seq, "next_by_subj": subject, "batch": limit, "max_bytes": max_bytes}
    )


async def direct_last_of_each(bus: Bus, stream: str, subject: str, *, limit: int = 1024) -> list[Stored]:
    """The last message of every subject that matches, in order."""
    return await _direct_batch(bus, stream, {"multi_last": [subject], "batch": limit})


async def _direct_batch(bus: Bus, stream: str, query: dict[str, Any]) -> list[Stored]:
    found: list[Stored] = []

    def take(message: Message) -> bool:
        stored = _direct(message, stream)
        if stored is None:
            return True
        found.append(stored)
        return False

    await bus.request_many(f"$JS.API.DIRECT.GET.{stream}", _encoder.encode(query), take)
    return found


def _direct(message: Message, stream: str) -> Stored | None:
    """The message in a direct get's reply; None for what ends a batch or finds nothing."""
    headers = message.headers
    status = headers.get("Status")
    if status in ("404", "204"):
        return None
    if status is not None:
        text = f"{stream}: direct get: {status} {headers.get('Description', '')}"
        raise EventStoreUnavailableError(text) if status == "408" else EventStoreError(text)
    return Stored(int(headers["Nats-Sequence"]), headers["Nats-Subject"], message.data, headers)


def _as_exception(error: _Error) -> EventStoreError:
    if error.err_code in _WRONG_LAST_SEQUENCE:
        return StaleWriteError(error.code, error.err_code, error.description)
    if error.code == _TEMPORARY:
        return EventStoreUnavailableError(f"{error.description} ({error.code}/{error.err_code})")
    return ApiError(error.code, error.err_code, error.description)
