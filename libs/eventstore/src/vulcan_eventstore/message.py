"""A message as it came from the server. What is seldom looked at is decoded when somebody looks."""

from collections.abc import Mapping
from typing import Final

_VERSION: Final = "NATS/1.0"
_NONE: Final[Mapping[str, str]] = {}
_PLAIN_TOKENS: Final = 9


class Message:
    """One message. `data` is its payload."""

    __slots__ = ("_headers", "_raw_headers", "_reply", "_subject", "data")

    def __init__(self, subject: bytes, reply: bytes, data: bytes, raw_headers: bytes | None = None) -> None:
        self._subject = subject
        self._reply = reply
        self.data = data
        self._raw_headers = raw_headers
        self._headers: Mapping[str, str] | None = None

    @property
    def subject(self) -> str:
        """Where it was sent to."""
        return self._subject.decode()

    @property
    def reply(self) -> str:
        """Where an answer goes; empty if none is wanted."""
        return self._reply.decode()

    @property
    def delivery(self) -> tuple[int, int, int]:
        """Of a message from a consumer: its sequence in the stream, which delivery it is, and how many follow it."""
        tokens = self._reply.split(b".")
        at = 5 if len(tokens) == _PLAIN_TOKENS else 7  # with a domain and an account hash in front
        return int(tokens[at]), int(tokens[at + 1]), int(tokens[at + 3])

    @property
    def headers(self) -> Mapping[str, str]:
        """Its headers, with the status line as `Status` and `Description`; none for a message without."""
        if self._headers is None:
            self._headers = parse_headers(self._raw_headers) if self._raw_headers else _NONE
        return self._headers

    @property
    def status(self) -> str | None:
        """The server's word in place of a message ("503", "408", ...); None for a message that somebody sent."""
        return None if self.data or not self._raw_headers else self.headers.get("Status")


def parse_headers(raw: bytes) -> dict[str, str]:
    """A block of headers, the version line first."""
    first, *lines = raw.decode("utf-8", "replace").split("\r\n")
    headers: dict[str, str] = {}
    status, _, description = first.removeprefix(_VERSION).strip().partition(" ")
    if status.isdigit():
        headers["Status"] = status
        if description:
            headers["Description"] = description.strip()
    for line in lines:
        name, colon, value = line.partition(":")
        if colon:
            headers[name] = value.strip()
    return headers
