"""A real HTTP server on a free port that answers as told and remembers what it was asked, for tests of clients."""

import json
import socket
import ssl
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Asked:
    """One request as it came."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """A whole answer."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Chunks:
    """An answer that is sent piece by piece. `broken`: the connection is then torn, not ended."""

    pieces: Iterator[bytes]
    headers: dict[str, str] = field(default_factory=dict)
    broken: bool = False


class Drop:
    """Read the request, then tear the connection without an answer."""


Reply = Answer | Chunks | Drop
Script = Reply | Callable[[Asked], Reply]


def as_json(value: Any, status: int = 200, **headers: str) -> Answer:
    """A JSON answer."""
    return Answer(status, json.dumps(value).encode(), {"content-type": "application/json", **headers})


def problem(status: int, code: str, **more: Any) -> Answer:
    """A problem document."""
    headers = more.pop("headers", {})
    body = {"type": f"urn:vulcan:problem:{code}", "title": code, "status": status, "code": code, **more}
    return Answer(status, json.dumps(body).encode(), {"content-type": "application/problem+json", **headers})


def sse(*messages: tuple[str, int | None, Any], broken: bool = False) -> Chunks:
    """A stream of server-sent events: (event, id, data) each."""
    pieces = [
        (f"id: {number}\n" if number is not None else "") + f"event: {event}\ndata: {json.dumps(data)}\n\n"
        for event, number, data in messages
    ]
    return Chunks(iter(piece.encode() for piece in pieces), {"content-type": "text/event-stream"}, broken)


class HttpServer:
    """Scripts by method and path, used up in order; the last one of a path stays."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self._scripts: dict[tuple[str, str], deque[Script]] = defaultdict(deque)
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                outer._serve(self)

            def log_message(self, *args: Any) -> None:
                pass

        for method in ("GET", "POST", "PUT", "DELETE"):
            setattr(Handler, f"do_{method}", Handler._serve)

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                """Clients that leave early are part of the tests."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def on(self, method: str, path: str, *scripts: Script) -> None:
        """What to answer there, one after the other."""
        self._scripts[method, path].extend(scripts)

    def to(self, method: str, path: str) -> list[Asked]:
        """The requests that came there."""
        return [asked for asked in self.asked if (asked.method, asked.path) == (method, path)]

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        asked = Asked(
            handler.command,
            parts.path,
            parse_qs(parts.query),
            {name.lower(): value for name, value in handler.headers.items()},
            _body(handler),
        )
        with self._lock:
            self.asked.append(asked)
            scripts = self._scripts.get((asked.method, asked.path))
            script = None if not scripts else scripts.popleft() if len(scripts) > 1 else scripts[0]
        reply = problem(404, "not_found") if script is None else script(asked) if callable(script) else script
        _reply(handler, reply)

    @classmethod
    @contextmanager
    def running(cls, *, tls: tuple[Path, Path] | None = None) -> "Iterator[HttpServer]":
        """A server until the end of the block; `tls`: certificate and key, for the address 127.0.0.1."""
        server = cls()
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            server._server.socket = context.wrap_socket(server._server.socket, server_side=True)
            server.url = f"https://127.0.0.1:{server._server.server_address[1]}"
        thread = threading.Thread(target=server._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server._server.shutdown()
            server._server.server_close()
            thread.join()


def _body(handler: BaseHTTPRequestHandler) -> bytes:
    if handler.headers.get("transfer-encoding", "").lower() == "chunked":
        body = b""
        while size := int(handler.rfile.readline(), 16):
            body += handler.rfile.read(size)
            handler.rfile.readline()
        handler.rfile.readline()
        return body
    return handler.rfile.read(int(handler.headers.get("content-length", 0)))


def _reply(handler: BaseHTTPRequestHandler, reply: Reply) -> None:
    if isinstance(reply, Drop):
        _tear(handler)
        return
    handler.send_response(reply.status if isinstance(reply, Answer) else 200)
    for name, value in reply.headers.items():
        handler.send_header(name, value)
    if isinstance(reply, Answer):
        handler.send_header("content-length", str(len(reply.body)))
        handler.end_headers()
        handler.wfile.write(reply.body)
        return
    handler.send_header("transfer-encoding", "chunked")
    handler.end_headers()
    for piece in reply.pieces:
        handler.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        handler.wfile.flush()
    if reply.broken:
        _tear(handler)
    else:
        handler.wfile.write(b"0\r\n\r\n")


def _tear(handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True
    handler.connection.shutdown(socket.SHUT_RDWR)
