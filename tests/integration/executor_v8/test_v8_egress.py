"""Egress against servers of our own on this machine, which the tests' backend is told to make an exception for."""

import asyncio
import ipaddress
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from support.v8_backend import HAS_BWRAP, backend
from support.v8_runs import program, run
from vulcan_contracts.spec import Network
from vulcan_executor_v8.backend import V8Backend

pytestmark = pytest.mark.skipif(
    not HAS_BWRAP, reason="bubblewrap is not installed or makes no jail here: egress is NOT tested here"
)
LOOPBACK = ipaddress.ip_network("127.0.0.1/32")


@asynccontextmanager
async def server() -> AsyncIterator[int]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
            )
            body = head.split(b"\r\n")[0] + b"|" + await reader.readexactly(length)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(body), body))
            await writer.drain()
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening:
        yield listening.sockets[0].getsockname()[1]


def allowing(*rules: str) -> Network:
    return Network(egress="allow_list", allow=list(rules))


@asynccontextmanager
async def open_backend() -> AsyncIterator[V8Backend]:
    async with backend(egress_exceptions=[LOOPBACK], warm_hosts=0) as v8:
        yield v8


FETCH = "const r = await fetch(`http://${Deno.args[0]}/path?q=1`); console.log(r.status, await r.text());"


async def test_an_allowed_destination_is_reached_by_every_door() -> None:
    async with server() as port, open_backend() as v8:
        target = f"127.0.0.1:{port}"
        ran = await run(v8, program(FETCH, args=[target], network=allowing("127.0.0.1")))
        assert ran.stdout == "200 GET /path?q=1 HTTP/1.1|\n", ran.stderr
        post = (
            "const r = await fetch(`http://${Deno.args[0]}/`, { method: 'POST', body: 'x✓' });"
            "console.log(await r.text());"
        )
        ran = await run(v8, program(post, args=[target], network=Network(egress="all")))
        assert ran.stdout == "POST / HTTP/1.1|x✓\n", ran.stderr
        node = (
            "import http from 'node:http'; http.get(`http://${Deno.args[0]}/n`, (r) => { r.setEncoding('utf8');"
            " let all = ''; r.on('data', (d) => { all += d; }); r.on('end', () => console.log(all)); });"
        )
        ran = await run(v8, program(node, args=[target], network=Network(egress="all")))
        assert ran.stdout == "GET /n HTTP/1.1|\n", ran.stderr


async def test_a_name_is_checked_and_then_its_address() -> None:
    async with server() as port, open_backend() as v8:
        ran = await run(v8, program(FETCH, args=[f"localhost:{port}"], network=allowing(f"localhost:{port}")))
        assert ran.stdout.startswith("200 "), ran.stdout
        ran = await run(v8, program(FETCH, args=[f"localhost:{port}"], network=allowing("localhost:1")))
        assert ran.stdout == f"403 vulcan: localhost:{port} is not in the workload's network.allow\n\n"


@pytest.mark.parametrize(
    ("destination", "network", "reason"),
    [
        ("elsewhere.invalid", allowing("localhost"), "elsewhere.invalid:80 is not in the workload's network.allow"),
        ("192.0.2.7:81", allowing("192.0.2.7:80"), "192.0.2.7"),
        ("169.254.169.254", Network(egress="all"), "link-local or a metadata service"),
        ("10.1.2.3", Network(egress="all"), "private network"),
        ("127.0.0.2", Network(egress="all"), "the machine that runs the workload"),
        ("0.0.0.0", Network(egress="all"), "the machine that runs the workload"),  # noqa: S104
        ("[::1]", Network(egress="all"), "the machine that runs the workload"),
        ("[::ffff:127.0.0.2]", allowing("0.0.0.0/0", "::/0"), "the machine that runs the workload"),
    ],
)
async def test_a_forbidden_destination_is_answered_403(destination: str, network: Network, reason: str) -> None:
    async with open_backend() as v8:
        ran = await run(v8, program(FETCH, args=[destination], network=network))
        assert ran.stdout.startswith("403 vulcan: "), (ran.stdout, ran.stderr)
        assert reason in ran.stdout


async def test_nothing_but_the_proxy_is_there() -> None:
    async with server() as port, open_backend() as v8:
        code = (
            "const tried = [];"
            f"for (const port of [{port}, 22, 80]) "
            "{ try { await Deno.connect({ hostname: '127.0.0.1', port }); tried.push(port); } catch {} }"
            "try { await Deno.connect({ hostname: '192.0.2.2', port: 80 }); tried.push('out'); } catch {}"
            "try { await Deno.connect({ transport: 'unix', path: '/ctl/proxy' }); tried.push('unix'); } catch {}"
            "export default () => tried;"
        )
        assert (await run(v8, program(code, network=Network(egress="all")))).result == []


async def test_without_egress_there_is_no_way_out() -> None:
    async with server() as port, open_backend() as v8:
        ran = await run(v8, program(FETCH, args=[f"127.0.0.1:{port}"]))
        assert ran.exit.exit_code == 1
        assert "Requires net access" in ran.stderr


async def test_a_tunnel_carries_bytes_both_ways() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1000):
            writer.write(data)
        writer.close()

    async with await asyncio.start_server(echo, "127.0.0.1", 0) as listening, open_backend() as v8:
        port = listening.sockets[0].getsockname()[1]
        code = (
            "const c = await Deno.connect({ hostname: '127.0.0.1', port: 3128 });"
            "const send = (t) => c.write(new TextEncoder().encode(t)); const b = new Uint8Array(1000);"
            "const receive = async () => new TextDecoder().decode(b.slice(0, await c.read(b)));"
            f"await send('CONNECT 127.0.0.1:{port} HTTP/1.1\\r\\n\\r\\n'); const head = await receive();"
            "await send('ping'); const back = await receive(); c.close();"
            "export default () => [head.split('\\r\\n')[0], back];"
        )
        ran = await run(v8, program(code, network=Network(egress="all")))
        assert ran.result == ["HTTP/1.1 200 Connection established", "ping"]
