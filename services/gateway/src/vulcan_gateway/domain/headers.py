"""Request and response headers that need more than a look-up."""

import re
from typing import Final
from urllib.parse import quote

_MEDIA_TYPE: Final = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}")
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9 ._+-]")


def wants_event_stream(accept: str) -> bool:
    """True if an Accept header names `text/event-stream` (a wildcard is not enough)."""
    for part in accept.split(","):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        if name == "text/event-stream" and not any(re.fullmatch(r"q=0(\.0*)?", p) for p in parameters):
            return True
    return False


def media_type(content_type: str) -> str:
    """The media type of a Content-Type header, in lower case, without its parameters."""
    return content_type.partition(";")[0].strip().lower()


def attachment(name: str) -> str:
    """A Content-Disposition that saves a file under `name`'s last part, whatever it holds (RFC 6266)."""
    base = name.rsplit("/", 1)[-1]
    plain = _UNSAFE.sub("_", base)[:120] or "download"
    exact = quote(base, safe="")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{exact}"


def safe_media_type(declared: str) -> str:
    """The media type of stored content, if it is one; a browser is never to sniff or guess another."""
    return declared if _MEDIA_TYPE.fullmatch(declared) else "application/octet-stream"
