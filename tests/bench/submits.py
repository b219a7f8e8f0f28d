"""Durable submits per second at one gateway, against FastAPI on uvicorn answering a constant to the same body.

One server process each, on a core of its own, under the same client; the client shares the other core with nats-server.
Ours checks the key, the quota and the spec, and answers 202 once the event is synced to disk; theirs parses JSON.
"""

from contextlib import ExitStack
from typing import Final

import msgspec

from bench.gateway_process import gateway_process, world_behind
from bench.harness import Figure, Options, compare, interleave
from bench.http_load import Client, Order, client
from bench.processes import Server, server

CONNECTIONS: Final = 64
REQUESTS: Final = 1500
_BODY: Final = msgspec.json.encode(
    {"runtime": "javascript", "source": {"type": "inline", "code": "console.log('hello', 6 * 7);\n"}}
)


def figures(options: Options) -> list[Figure]:
    """Submits per second."""
    with ExitStack() as stack:
        gateway = stack.enter_context(gateway_process(options.folder))
        fastapi = stack.enter_context(
            server("bench.fastapi_constant", options.folder / "fastapi.log", {"PORT": "{port}"})
        )
        load = stack.enter_context(client())
        stack.enter_context(world_behind(gateway))
        request = _request(gateway.token)
        taken = interleave(
            lambda: _per_second(load, gateway.server, request),
            lambda: _per_second(load, fastapi, request),
            samples=options.samples,
        )
    what = "durable submits at one gateway, against FastAPI answering a constant"
    return [compare(taken, identity="submits", what=what, unit="/s", goal=0.5, better="higher", quantile=50)]


def _per_second(load: Client, target: Server, request: bytes) -> float:
    return REQUESTS / load.seconds(Order(target.port, request, CONNECTIONS, REQUESTS))


def _request(token: str) -> bytes:
    head = (
        "POST /v1/workloads/async HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {token}\r\nContent-Length: {len(_BODY)}\r\n\r\n"
    )
    return head.encode() + _BODY
