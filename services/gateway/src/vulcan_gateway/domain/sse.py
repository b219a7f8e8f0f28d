"""Server-sent events, as bytes (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

from typing import Any, Final

import msgspec

KEEP_ALIVE: Final = b": keep-alive\n\n"
OPENING: Final = b"retry: 1000\n\n"
MEDIA_TYPE: Final = "text/event-stream"

_encoder = msgspec.json.Encoder()


def frame(event: str, data: Any, event_id: int | None = None) -> bytes:
    """One message. JSON holds no line ends, so one `data:` line is always enough."""
    head = f"event: {event}\n" if event_id is None else f"id: {event_id}\nevent: {event}\n"
    return b"".join((head.encode(), b"data: ", _encoder.encode(data), b"\n\n"))
