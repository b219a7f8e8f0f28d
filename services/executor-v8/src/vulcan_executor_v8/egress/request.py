"""The head of a proxy request: where it wants to go, and what to pass on."""

from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

_HOP_BY_HOP: Final = frozenset({b"connection", b"proxy-connection", b"proxy-authorization", b"keep-alive", b"upgrade"})
_PORTS: Final = {"http": 80}


class BadRequestError(Exception):
    """The head is not one that a proxy can serve; the message says why."""


class ProxyRequest(Struct, frozen=True, kw_only=True):
    """A destination. `head` is what to send there first: None for a tunnel."""

    host: str
    port: int
    head: bytes | None


def parse_head(head: bytes) -> ProxyRequest:
    """Read a request head, blank line included.

    Raises:
        BadRequestError: it is neither CONNECT nor a request for an http URL.
    """
    lines = head.rstrip(b"\r\n").split(b"\r\n")
    words = lines[0].split(b" ")
    if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
        raise BadRequestError("not an HTTP/1 request")
    try:
        target = words[1].decode("ascii")
    except UnicodeDecodeError as error:
        raise BadRequestError("the target is not ASCII") from error
    if words[0] == b"CONNECT":
        host, port = _authority(target)
        return ProxyRequest(host=host, port=port, head=None)
    return _plain(words[0], target, lines[1:])


def _plain(method: bytes, target: str, headers: list[bytes]) -> ProxyRequest:
    try:
        parts = urlsplit(target)
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError as error:
        raise BadRequestError("the target is not a URL") from error
    if parts.scheme != "http" or not parts.hostname or port is None:
        raise BadRequestError("only http URLs and CONNECT are served")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    kept = [line for line in headers if line.split(b":", 1)[0].strip().lower() not in _HOP_BY_HOP]
    upgrade = [line for line in headers if line.split(b":", 1)[0].strip().lower() == b"upgrade"]
    tail = [*upgrade, b"Connection: Upgrade"] if upgrade else [b"Connection: close"]
    head = b"\r\n".join([b"%s %s HTTP/1.1" % (method, path.encode("ascii")), *kept, *tail, b"", b""])
    return ProxyRequest(host=parts.hostname, port=port, head=head)


def _authority(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or not 0 < int(port) < 65_536:
        raise BadRequestError("CONNECT needs host:port")
    return host.removeprefix("[").removesuffix("]"), int(port)
