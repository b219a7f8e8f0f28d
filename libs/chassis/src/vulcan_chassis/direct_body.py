"""What this server lets an application do past ASGI: know that a request is here in full, and write without `send`.

For each piece of a stream and each of its readers ASGI asks for a task that is woken, a message and a call through
every middleware, which costs several times what writing to the socket does. Here a piece is framed once, and written by
whoever has it.
"""

from collections.abc import Callable, MutableMapping
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

_EXTENSION: Final = "vulcan.direct_body"


def chunk(body: bytes) -> bytes:
    """A piece of a body, not empty, as it goes over the wire in chunked transfer coding."""
    return b"%x\r\n%b\r\n" % (len(body), body)


class DirectBody:
    """The body of one answer. Only for its application, and only while that awaits no `send` of its own."""

    __slots__ = ("_clear", "_cycle", "_flush", "_write")

    def __init__(self, cycle: RequestResponseCycle, flush: Callable[[], None], write: Callable[[bytes], None]) -> None:
        self._cycle: RequestResponseCycle | None = cycle
        self._clear = False
        self._flush = flush
        self._write = write

    def write(self, framed: bytes) -> bool:
        """Write what `chunk` has framed. False, and nothing is written, if the answer is not under way, its body is not
        chunked, the client has left, or what it has not read yet has to go first: ASGI's `send` waits for that."""
        if not self._clear and not self._look():
            return False
        self._write(framed)
        return True

    def _look(self) -> bool:
        cycle = self._cycle
        self._clear = (
            cycle is not None
            and cycle.chunked_encoding is True
            and not (cycle.response_complete or cycle.disconnected)
            and not (cycle.flow.write_paused or cycle.transport.is_closing())
        )
        if self._clear:
            self._flush()
        return self._clear

    @property
    def request_received(self) -> bool:
        """True once the whole request has come: what is left of its body is received without waiting."""
        return self._cycle is not None and not self._cycle.more_body

    def changed(self) -> None:
        """What the connection calls when any of this may be different from now on."""
        self._clear = False

    def end(self) -> None:
        """What the connection calls when it has come to something else: nothing can be written any more."""
        self._clear, self._cycle = False, None


def offer(scope: MutableMapping[str, Any] | Any, body: DirectBody) -> None:
    """Let the application of this request have its `DirectBody`."""
    scope["extensions"] = {_EXTENSION: body}


def direct_body(scope: MutableMapping[str, Any] | Any) -> DirectBody | None:
    """The body of this request's answer; None under a server that offers none."""
    found = scope.get("extensions", {}).get(_EXTENSION)
    return found if isinstance(found, DirectBody) else None
