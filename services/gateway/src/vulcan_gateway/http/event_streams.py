"""Answers that are server-sent events: where they go on, in which places they are, how they end with their key."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from functools import partial

from vulcan_chassis.direct_body import DirectBody, direct_body
from vulcan_gateway.domain import sse
from vulcan_gateway.domain.cursors import decode_seq
from vulcan_gateway.http.calls import Call, header
from vulcan_gateway.http.streaming import ByteStream
from vulcan_gateway.live.line_feed import Outlet
from vulcan_gateway.parts import Parts
from vulcan_gateway.permits import Permit


def last_event_id(request: Call, after: str | None) -> int | None:
    """Where a stream goes on: `after`, or what the client says it saw last; the later one.

    Raises:
        Refusal: `invalid_cursor`.
    """
    given = header(request, b"last-event-id") or None
    named = (("after", after), ("Last-Event-ID", given))
    return max((decode_seq(text, parameter=name) for name, text in named if text is not None), default=None)


def take_place(gateway: Parts, request: Call) -> Callable[[], None]:
    """Take a place among the streams; what this returns gives it back.

    Raises:
        Refusal: `too_many_requests`.
    """
    key_id = request.user.key.id
    gateway.streams.take(key_id)
    return partial(gateway.streams.free, key_id)


def event_stream(
    gateway: Parts,
    request: Call,
    body: AsyncGenerator[bytes, None],
    *,
    headers: dict[str, str] | None = None,
    closed: Callable[[], None] | None = None,
) -> ByteStream:
    """A stream of server-sent events in one of the places that there are for them.

    closed: called once it is over, by who took the place before; else it is taken here.

    Raises:
        Refusal: `too_many_requests`.
    """
    free = closed or take_place(gateway, request)
    return ByteStream(
        _while_valid(gateway.keyring.permit(request.user.key), body),
        media_type=sse.MEDIA_TYPE,
        send_timeout_s=gateway.settings.limits.send_timeout_s,
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"} | (headers or {}),
        closed=free,
    )


async def _while_valid(permit: Permit, pieces: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(pieces):
        async for piece in pieces:
            if not permit.valid:
                return
            yield piece


class _Outlet:
    """What a key that is no longer valid does not get here it is offered the other way, and there its stream ends."""

    __slots__ = ("_body", "_permit")

    def __init__(self, body: DirectBody, permit: Permit) -> None:
        self._body = body
        self._permit = permit

    def write(self, chunk: bytes) -> bool:
        return self._permit.valid and self._body.write(chunk)


def outlet(gateway: Parts, request: Call) -> Outlet | None:
    """The short way for a stream's live lines, as long as the caller's key is valid; None where there is none."""
    body = direct_body(request.scope)
    return None if body is None else _Outlet(body, gateway.keyring.permit(request.user.key))
