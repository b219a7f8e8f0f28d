"""The head of a proxy request: where it wants to go, and what to pass on."""

import re
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

_HOP_BY_HOP: Final = frozenset(
    {b"connection", b"proxy-connection", b"proxy-authorization", b"keep-alive", b"upgrade", b"host"}
)
_PORTS: Final = {"http": 80}
_METHOD: Final = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_TARGET: Final = re.compile(rb"[\x21-\x7e]+")
_HEADER: Final = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~-]+:[^\x00-\x08\x0a-\x1f\x7f]*")
_HOST: Final = re.compile(r"[a-z0-9._-]{1,253}|[0-9a-f:.]{2,45}", re.IGNORECASE)


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
    if len(words) != 3 or words[2] not in (b"HTTP/1.1", b"HTTP/1.0") or not _METHOD.fullmatch(words[0]):
        raise BadRequestError("not an HTTP/1 request")
    if not _TARGET.fullmatch(words[1]):
        raise BadRequestError("the target holds what no URL may")
    if not all(_HEADER.fullmatch(line) for line in lines[1:]):
        raise BadRequestError("a header is malformed")
    target = words[1].decode("ascii")
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
    if not _HOST.fullmatch(parts.hostname):
        raise BadRequestError("the target names no host")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    kept = [line for line in headers if _name(line) not in _HOP_BY_HOP]
    upgrade = [line for line in headers if _name(line) == b"upgrade"]
    tail = [*upgrade, b"Connection: Upgrade"] if upgrade else [b"Connection: close"]
    # The name that the policy has seen is the one that the server sees, whatever the request's own Host said.
    host = b"Host: " + parts.netloc.rpartition("@")[2].encode("ascii")
    head = b"\r\n".join([b"%s %s HTTP/1.1" % (method, path.encode("ascii")), host, *kept, *tail, b"", b""])
    return ProxyRequest(host=parts.hostname, port=port, head=head)


def _authority(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or not 0 < int(port) < 65_536:
        raise BadRequestError("CONNECT needs host:port")
    host = host.removeprefix("[").removesuffix("]")
    if not _HOST.fullmatch(host):
        raise BadRequestError("the target names no host")
    return host, int(port)


def _name(header: bytes) -> bytes:
    return header.partition(b":")[0].lower()
