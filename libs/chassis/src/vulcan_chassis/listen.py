"""Where to listen, as a setting says it."""

from typing import Annotated, Final

from msgspec import Meta

_PORT: Final = "([0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"

Listen = Annotated[
    str,
    Meta(
        pattern=rf"^([^:\[\]]*|\[[0-9a-fA-F:.]+\]):{_PORT}$",
        description="host:port, as in 127.0.0.1:8080 or [::1]:8080; port 0 takes a free one",
    ),
]
"""The type of a setting that says where to listen."""


def parse_listen(listen: str) -> tuple[str, int]:
    """`host:port`, `:port` (every address) or `[v6]:port` as host and port.

    Raises:
        ValueError: it is none of these.
    """
    host, colon, port = listen.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise ValueError(f"{listen!r} is not host:port, as in 127.0.0.1:8080")
    if host.startswith("[") and host.endswith("]"):
        return host[1:-1], int(port)
    if ":" in host:
        raise ValueError(f"{listen!r} is not host:port; write an IPv6 address in brackets, as in [::1]:8080")
    return host or "0.0.0.0", int(port)  # noqa: S104 - asked for by the empty host
