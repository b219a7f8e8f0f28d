"""The egress proxy alone, against clients and servers that do what they should not."""

import asyncio
import contextlib
import ipaddress
import os
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from vulcan_contracts.spec import Network
from vulcan_executor_v8.egress import proxy as proxy_module
from vulcan_executor_v8.egress.proxy import EgressProxy
from vulcan_sandbox.egress import policy

LOOPBACK = ipaddress.ip_network("127.0.0.1/32")
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def proxy(
    folder: Path, *, network: Network | None = None, timeout_s: float = 30.0, connections: int = 64
) -> AsyncIterator[tuple[EgressProxy, str]]:
    rules = policy(network or Network(egress="all"), own_addresses=frozenset(), exceptions=[LOOPBACK])
    made = EgressProxy(rules, connect_timeout_s=timeout_s, max_connections=connections)
    await made.listen(folder / "p")
    try:
        yield made, str(folder / "p")
    finally:
        await made.close()


@asynccontextmanager
async def server(serve: Serve, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as listening:
        yield listening.sockets[0].getsockname()[1]


async def ask(path: str, head: bytes) -> bytes:
    """Everything that the proxy answers."""
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(head)
    try:
        return await asyncio.wait_for(reader.read(), 60)
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize(
    "host",
    ["127.0.0.2", "2130706434", "0x7f000002", "0177.0.0.2", "127.2", "127.0.0.2.", "[::ffff:127.0.0.2]",
     "[::ffff:7f00:2]", "[::127.0.0.2]", "[::]", "0", "0x0", "[64:ff9b::7f00:2]", "[2002:7f00:2::]",
     "169.254.169.254", "2852039166"],
)  # fmt: skip
@pytest.mark.parametrize("form", ["CONNECT {}:80 HTTP/1.1\r\n\r\n", "GET http://{}/ HTTP/1.1\r\nHost: ok\r\n\r\n"])
async def test_no_way_of_writing_an_address_leads_to_this_machine(tmp_path: Path, host: str, form: str) -> None:
    async with proxy(tmp_path) as (_, path):
        status = (await ask(path, form.format(host).encode())).split(b"\r\n")[0]
        assert status.split(b" ")[1] in (b"403", b"502"), status


async def test_of_several_addresses_only_the_allowed_are_dialled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def rebinding(host: str, _port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.2", "127.0.0.1"] if len(asked) == 1 else ["127.0.0.2"]

    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"allowed")
        writer.close()

    monkeypatch.setattr(proxy_module, "_look_up", rebinding)
    async with server(greet) as port, proxy(tmp_path) as (_, path):
        answer = await ask(path, f"CONNECT rebind.example:{port} HTTP/1.1\r\n\r\n".encode())
        assert answer.endswith(b"\r\n\r\nallowed")
        assert asked == ["rebind.example"]
        answer = await ask(path, f"CONNECT rebind.example:{port} HTTP/1.1\r\n\r\n".encode())
        assert answer.startswith(b"HTTP/1.1 403 ")


async def test_a_head_that_is_too_long_is_told_so(tmp_path: Path) -> None:
    async with proxy(tmp_path) as (_, path):
        answer = await ask(path, b"GET http://h/ HTTP/1.1\r\nX: " + b"x" * 200_000)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 431 ")


async def test_a_head_that_never_ends_is_cut_off(tmp_path: Path) -> None:
    async with proxy(tmp_path, timeout_s=0.2) as (_, path):
        assert (await ask(path, b"GET http://h/ HTTP/1.1\r\nX: ")).startswith(b"HTTP/1.1 504 ")


async def test_connections_past_the_limit_are_cut_off_and_later_ones_served_again(tmp_path: Path) -> None:
    async with proxy(tmp_path, connections=3) as (_, path):
        held = [await asyncio.open_unix_connection(path) for _ in range(3)]
        assert await ask(path, b"CONNECT 127.0.0.2:1 HTTP/1.1\r\n\r\n") == b""
        for _, writer in held:
            writer.close()
        async with asyncio.timeout(60):
            while await ask(path, b"CONNECT 127.0.0.2:1 HTTP/1.1\r\n\r\n") == b"":
                pass


async def test_an_end_that_takes_nothing_holds_no_descriptor(tmp_path: Path) -> None:
    stuck = asyncio.Event()

    async def never_read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        await stuck.wait()
        writer.close()

    async with server(never_read) as port:
        before = _descriptors()
        async with proxy(tmp_path) as (made, path):
            _, writer = await asyncio.open_unix_connection(path)
            writer.write(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n\r\n".encode())
            writer.write(b"x" * 16_000_000)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.3):
                    await writer.drain()
            await asyncio.wait_for(made.close(), 60)
            writer.transport.abort()
            stuck.set()
            async with asyncio.timeout(60):
                while _descriptors() > before:  # noqa: ASYNC110  # no event tells of it
                    await asyncio.sleep(0.01)


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


async def test_tls_through_a_tunnel_is_the_servers_own(tmp_path: Path) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        writer.close()

    certificate, key = _certificate(tmp_path)
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serving.load_cert_chain(certificate, key)
    async with server(echo, serving) as port, proxy(tmp_path) as (_, path):
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n\r\n".encode())
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 200 Connection established\r\n\r\n"
        await writer.start_tls(ssl.create_default_context(cafile=certificate), server_hostname="localhost")
        writer.write(b"secret\n")
        assert await asyncio.wait_for(reader.readline(), 60) == b"secret\n"
        writer.close()


def _certificate(folder: Path) -> tuple[str, str]:
    certificate, key = str(folder / "cert.pem"), str(folder / "key.pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-out", certificate, "-keyout", key],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    return certificate, key
