"""Request bodies: read with a bound on size and time, whatever the headers claim."""

import asyncio
from collections.abc import AsyncIterator
from typing import TypeVar

from vulcan_chassis.direct_body import direct_body
from vulcan_gateway.domain import bodies
from vulcan_gateway.domain.headers import media_type
from vulcan_gateway.domain.refusals import Refusal
from vulcan_gateway.http.calls import JSON, Call, header
from vulcan_gateway.parts import Parts

T = TypeVar("T")


class ClientLeftError(Exception):
    """The client closed the connection in the middle of its request; nobody reads the answer."""


async def chunks(request: Call, *, limit_bytes: int) -> AsyncIterator[bytes]:
    """The body piece by piece.

    Raises:
        Refusal: `body_too_large`.
        ClientLeftError: it ends before its end.
    """
    announced = header(request, b"content-length")
    if announced.isascii() and announced.isdigit() and int(announced) > limit_bytes:
        raise too_large(limit_bytes)
    seen = 0
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientLeftError
        if message["type"] != "http.request":
            continue
        piece = message.get("body", b"")
        seen += len(piece)
        if seen > limit_bytes:
            raise too_large(limit_bytes)
        if piece:
            yield piece
        if not message.get("more_body", False):
            return


def too_large(limit_bytes: int) -> Refusal:
    """The refusal of a body above the limit."""
    return Refusal("body_too_large", f"The limit is {limit_bytes} bytes.")


async def read_body(gateway: Parts, request: Call) -> bytes:
    """The whole body of a JSON call.

    Raises:
        Refusal: `body_too_large`, `request_timeout`.
    """
    limits = gateway.settings.limits
    if (server := direct_body(request.scope)) is not None and server.request_received:
        return b"".join([piece async for piece in chunks(request, limit_bytes=limits.json_body_bytes)])
    body = bytearray()  # not a list: a body may come byte by byte
    try:
        async with asyncio.timeout(limits.body_timeout_s):
            async for piece in chunks(request, limit_bytes=limits.json_body_bytes):
                body += piece
    except TimeoutError as error:
        raise Refusal("request_timeout", f"It did not arrive within {limits.body_timeout_s:g} s.") from error
    return bytes(body)


async def read_json(gateway: Parts, request: Call, declared: type[T], *, code: str = "invalid_body") -> T:
    """The JSON body as `declared`.

    Raises:
        Refusal: it is of another type, too large, not JSON, or not as declared.
    """
    require_media_type(request, JSON)
    return bodies.decode(await read_body(gateway, request), declared, code=code)


def require_media_type(request: Call, *accepted: str) -> str:
    """The request's media type.

    Raises:
        Refusal: `unsupported_media_type`; it is none of `accepted`.
    """
    given = media_type(header(request, b"content-type"))
    if given not in accepted:
        raise Refusal(
            "unsupported_media_type",
            f"Content-Type is {given or 'missing'}; send {' or '.join(accepted)}.",
        )
    return given
