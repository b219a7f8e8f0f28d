"""Egress rules as a user writes them: a host, `*.host`, an address or a CIDR, each with an optional port."""

import ipaddress
import re
from typing import Final

from msgspec import Struct

_HOST: Final = re.compile(
    r"(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.IGNORECASE
)
_NUMERIC: Final = re.compile(r"[0-9.]+")


class EgressRule(Struct, frozen=True, kw_only=True):
    """One allowed destination: `host` (lower case, `*.` in front: every subdomain) or `network`; `port` None is any."""

    host: str | None = None
    network: ipaddress.IPv4Network | ipaddress.IPv6Network | None = None
    port: int | None = None


def parse_rule(text: str) -> EgressRule:
    """Read one entry of `network.allow`.

    Raises:
        ValueError: it is none of the forms; the message says which there are.
    """
    host, port = _split_port(text)
    try:
        return EgressRule(network=ipaddress.ip_network(host, strict=False), port=port)
    except ValueError:
        pass
    if "/" in host or _NUMERIC.fullmatch(host) or len(host) > 253 or not _HOST.fullmatch(host):
        raise ValueError(
            "is not a host, *.host, address or CIDR with an optional :port (as in api.example.com:443 or 192.0.2.0/24)"
        )
    return EgressRule(host=host.lower(), port=port)


def _split_port(text: str) -> tuple[str, int | None]:
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError("has an unclosed bracket; write [2001:db8::1]:443")
        return host, _port(rest[1:]) if rest else None
    if text.count(":") == 1:
        host, _, port = text.partition(":")
        return host, _port(port)
    return text, None


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 65_535:
        raise ValueError("has a port that is not a number from 1 to 65535")
    return int(text)
