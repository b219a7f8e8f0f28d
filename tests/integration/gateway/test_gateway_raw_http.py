"""What no HTTP library would send is refused or cut off, never a 5xx, and the next request is served."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import httpx
import msgspec
import pytest_asyncio

from support.gateway import Gateway
from vulcan_gateway.settings import GatewaySettings

_MORE_S = 3.0
_JSON = b"Content-Type: application/json\r\n"
_POST = b"POST /v1/workloads/async HTTP/1.1\r\nHost: x\r\n"
_CHUNKED = _POST + _JSON + b"Transfer-Encoding: chunked\r\n"

REFUSED: dict[str, bytes] = {
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(50) + b"\r\n\r\n",
    "no version": b"GET /\r\n\r\n",
    "a version that is none": b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
    "NUL in the path": b"GET /v1/workloads/\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
    "a line end in the path": b"GET /v1/\nworkloads HTTP/1.1\r\nHost: x\r\n\r\n",
    "NUL in a header": b"GET /v1/whoami HTTP/1.1\r\nHost: x\r\nX-A: a\x00b\r\n\r\n",
    "a header without a name": b"GET /v1/whoami HTTP/1.1\r\nHost: x\r\n: a\r\n\r\n",
    "a space in a header's name": b"GET /v1/whoami HTTP/1.1\r\nHost: x\r\nX A: a\r\n\r\n",
    "a negative length": _POST + _JSON + b"Content-Length: -1\r\n\r\n{}",
    "a length that is none": _POST + _JSON + b"Content-Length: 2a\r\n\r\n{}",
    "an enormous length": _POST + _JSON + b"Content-Length: 99999999999999999999999\r\n\r\n{}",
    "two lengths": _POST + _JSON + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "a length and chunks": _CHUNKED + b"Content-Length: 2\r\n\r\n0\r\n\r\n",
    "an unknown coding": _POST + _JSON + b"Transfer-Encoding: gzip, identity\r\n\r\n{}",
    "a chunk size that is none": _CHUNKED + b"\r\nzz\r\n{}\r\n0\r\n\r\n",
    "a negative chunk": _CHUNKED + b"\r\n-2\r\n{}\r\n0\r\n\r\n",
    "an enormous chunk": _CHUNKED + b"\r\nffffffffffffffffff\r\n{}\r\n0\r\n\r\n",
    "a chunk longer than it says": _CHUNKED + b"\r\n1\r\n{}\r\n0\r\n\r\n",
    "a body that is cut off": _POST + _JSON + b"Content-Length: 100\r\n\r\n{",
    "too many headers": b"GET / HTTP/1.1\r\nHost: x\r\n" + b"a: b\r\n" * 30_000 + b"\r\n",
    "a header too long": b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 300_000 + b"\r\n\r\n",
    "a path too long": b"GET /" + b"a" * 300_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
}
"""Each is refused, or the connection is closed over it."""

UNDERSTOOD: dict[str, tuple[bytes, set[int]]] = {
    "no HTTP/1.1": (b"GET /healthz HTTP/1.0\r\n\r\n", {200}),
    "invalid UTF-8 in the path": (b"GET /v1/workloads/\xff\xfe HTTP/1.1\r\nHost: x\r\n{auth}\r\n", {400, 404}),
    "invalid UTF-8, quoted": (b"GET /v1/workloads/%ff%fe%80 HTTP/1.1\r\nHost: x\r\n{auth}\r\n", {404}),
    "a broken quotation": (b"GET /v1/workloads/%zz%2 HTTP/1.1\r\nHost: x\r\n{auth}\r\n", {404}),
    "slashes": (b"GET //v1///whoami// HTTP/1.1\r\nHost: x\r\n{auth}\r\n", {200, 404}),
    "dots": (b"GET /v1/../../etc/passwd HTTP/1.1\r\nHost: x\r\n{auth}\r\n", {404}),
    "a whole URL": (b"GET http://169.254.169.254/v1/whoami HTTP/1.1\r\nHost: x\r\n{auth}\r\n", {200, 400, 404}),
    "a star": (b"OPTIONS * HTTP/1.1\r\nHost: x\r\n{auth}\r\n", {204, 400, 404}),
    "a tunnel": (b"CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: x\r\n{auth}\r\n", {400, 404, 405}),
    "a broken query": (b"GET /v1/workloads?%ff=%00&&=&limit HTTP/1.1\r\nHost: x\r\n{auth}\r\n", {400}),
    "invalid UTF-8 in the query": (b"GET /v1/workloads?text=\xff HTTP/1.1\r\nHost: x\r\n{auth}\r\n", {200, 400, 503}),
    "a key that is no text": (
        b"GET /v1/whoami HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \xff\xfe\r\nConnection: close\r\n\r\n",
        {401},
    ),
    "two keys": (b"GET /v1/whoami HTTP/1.1\r\nHost: x\r\n{auth}Authorization: Bearer x\r\n\r\n", {200, 400, 401}),
    "a cursor that is no text": (
        b"GET /v1/events HTTP/1.1\r\nHost: x\r\nLast-Event-ID: \xff\r\n{auth}\r\n",
        {400},
    ),
    "an idempotency key that is no text": (
        _POST + _JSON + b"Idempotency-Key: \xff\r\nContent-Length: 2\r\n{auth}\r\n{}",
        {400, 422},
    ),
    "a body that nobody asked for": (
        b"GET /v1/whoami HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n{auth}\r\nabc",
        {200},
    ),
    "an empty chunked body": (_CHUNKED + b"{auth}\r\n0\r\n\r\n", {400}),
    "chunks with extensions": (_CHUNKED + b"{auth}\r\n2;a=b\r\n{}\r\n0\r\nX: y\r\n\r\n", {422}),
    "a coding that it does not know": (
        _POST + _JSON + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n{auth}\r\n{}",
        {400, 415, 422},
    ),
    "a request to change the protocol": (
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n{auth}\r\n",
        {200, 400, 403, 404},
    ),
}
"""Each is a request, though an odd one."""


@pytest_asyncio.fixture
async def settings(settings: GatewaySettings) -> AsyncIterator[GatewaySettings]:
    limits = msgspec.structs.replace(settings.limits, body_timeout_s=0.5, drain_timeout_s=0.2)
    yield msgspec.structs.replace(settings, limits=limits)


@asynccontextmanager
async def connection(gateway: Gateway) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    where = urlsplit(gateway.url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def exchange(gateway: Gateway, sent: bytes) -> list[int]:
    """The statuses of what is answered until the gateway closes the connection, or waits for more."""
    answered = b""
    async with connection(gateway) as (reader, writer):
        try:
            async with asyncio.timeout(_MORE_S):
                writer.write(sent)
                await writer.drain()
                while piece := await reader.read(65_536):
                    answered += piece
        except (ConnectionError, TimeoutError):
            pass
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answered)]


async def test_what_is_no_request_is_refused_and_the_next_one_is_served(
    gateway: Gateway, api: httpx.AsyncClient, admin_token: str
) -> None:
    for name, sent in REFUSED.items():
        with_key = sent.replace(b"Host: x\r\n", f"Host: x\r\nAuthorization: Bearer {admin_token}\r\n".encode())
        statuses = await exchange(gateway, with_key)
        assert all(400 <= status < 500 for status in statuses), (name, statuses)
        assert (await api.get("/v1/whoami")).status_code == 200, name
    assert 'status="500"' not in (await api.get("/metrics")).text


async def test_odd_requests_are_answered(gateway: Gateway, api: httpx.AsyncClient, admin_token: str) -> None:
    key = f"Connection: close\r\nAuthorization: Bearer {admin_token}\r\n".encode()
    for name, (sent, expected) in UNDERSTOOD.items():
        statuses = await exchange(gateway, sent.replace(b"{auth}", key))
        assert len(statuses) == 1, (name, statuses)
        assert statuses[0] in expected, (name, statuses)
    assert 'status="500"' not in (await api.get("/metrics")).text


async def test_a_body_that_does_not_come(gateway: Gateway, admin_token: str) -> None:
    async with connection(gateway) as (reader, writer), asyncio.timeout(20):
        writer.write(_POST + _JSON + f"Authorization: Bearer {admin_token}\r\nContent-Length: 100\r\n\r\n{{".encode())
        assert b" 408 " in await reader.readline()


async def test_many_requests_at_once_on_one_connection(gateway: Gateway, admin_token: str) -> None:
    one = f"GET /v1/whoami HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {admin_token}\r\n".encode()
    sent = (one + b"\r\n") * 300 + one + b"Connection: close\r\n\r\n"
    async with connection(gateway) as (reader, writer), asyncio.timeout(20):
        writer.write(sent)
        assert (await reader.read()).count(b"HTTP/1.1 200 OK") == 301


async def test_nothing_is_smuggled_behind_a_body(gateway: Gateway, admin_token: str) -> None:
    """Where a proxy in front may see another end of a body than we do, nothing behind it is taken for a request."""
    key = f"Authorization: Bearer {admin_token}\r\n".encode()
    hidden = b"GET /v1/keys HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + key + b"\r\n"
    assert await exchange(gateway, _POST + _JSON + b"Content-Length: 2\r\n\r\n{}" + hidden) == [401, 200]
    for sent in (
        _CHUNKED + b"Content-Length: 5\r\n\r\n0\r\n\r\n" + hidden,
        _POST + _JSON + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + hidden,
        _POST + _JSON + b"Content-Length: 0\r\nContent-Length: 5\r\n\r\n" + hidden,
        _POST + _JSON + b"Transfer-Encoding : chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + hidden,
    ):
        assert 200 not in await exchange(gateway, sent), sent
