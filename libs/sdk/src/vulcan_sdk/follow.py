"""Following a stream of server-sent events through lost connections, each item once and in order."""

import time
from collections.abc import Callable, Iterable
from typing import Generic, Protocol, TypeVar

import msgspec

from vulcan_contracts.logs import LogLine
from vulcan_contracts.views import EventView, LogsDone
from vulcan_sdk.errors import ConnectError, DeadlineError, ProtocolError, VulcanError
from vulcan_sdk.exchange import Clock, refuse_redirect, unreachable
from vulcan_sdk.retry import RetryPolicy, worth_retrying
from vulcan_sdk.sse import MEDIA_TYPE, Message, SseParser
from vulcan_sdk.wire import Close, Emit, Failure, Flow, Open, Read, Request, Response, Sleep, error_of

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_line = msgspec.json.Decoder(LogLine)
_done = msgspec.json.Decoder(LogsDone)
_event = msgspec.json.Decoder(EventView)


class Gap(Exception):
    """The stream left something out: open it again from the last item seen."""


class Cursor(Protocol[T_co]):
    """Remembers how far a stream was read, and makes items of its messages."""

    @property
    def position(self) -> str | None:
        """What to send as Last-Event-ID; None from the start."""

    @property
    def finished(self) -> bool:
        """True once nothing more will come."""

    def take(self, message: Message) -> Iterable[T_co]:
        """The new items in a message, repeats left out.

        Raises:
            Gap: items before this one are missing.
        """


class LogCursor:
    """Log lines. Unfiltered ones are numbered without gaps, so a hole is noticed and read again."""

    def __init__(self, *, after: int | None = 0, contiguous: bool = True) -> None:
        """`after` None: the stream begins wherever the server says."""
        self._anchored = after is not None
        self._last = after or 0
        self._contiguous = contiguous
        self._hole: int | None = None
        self.done: LogsDone | None = None

    @property
    def position(self) -> str | None:
        """The last line's number."""
        return str(self._last) if self._last else None

    @property
    def finished(self) -> bool:
        """True once the workload has ended and every line was read."""
        return self.done is not None

    def take(self, message: Message) -> list[LogLine]:
        """The line in this message, unless it was seen."""
        if message.event == "done":
            done = _done.decode(message.data)
            self._check(done.last_line + 1)
            self.done = done
            return []
        if message.event not in ("message", "line", "log"):
            return []
        line = _line.decode(message.data)
        if line.seq <= self._last:
            return []
        self._check(line.seq)
        self._last = line.seq
        return [line]

    def _check(self, seq: int) -> None:
        # The same hole twice is what retention took away, not what a connection lost.
        if self._contiguous and self._anchored and seq > self._last + 1 and self._hole != self._last:
            self._hole = self._last
            raise Gap
        self._anchored = True


class EventCursor:
    """Events, of one workload until it has ended, or of a tenant for ever."""

    def __init__(self, *, after: int | None = None) -> None:
        self._last = after
        self.finished = False

    @property
    def position(self) -> str | None:
        """The last event's place in the log."""
        return None if self._last is None else str(self._last)

    def take(self, message: Message) -> list[EventView]:
        """The event in this message, unless it was seen."""
        if message.event == "done":
            self.finished = True
            return []
        event = _event.decode(message.data)
        if self._last is not None and event.seq <= self._last:
            return []
        self._last = event.seq
        return [event]


class Follower(Generic[T]):
    """Opens a stream, reads it to its end, and opens it again where it broke off."""

    def __init__(
        self,
        cursor: Cursor[T],
        request: Callable[[str | None], Request],
        *,
        base_url: str,
        timeout_s: float,
        idle_timeout_s: float,
        policy: RetryPolicy,
        met: bool = False,
        deadline: float | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        self._cursor = cursor
        self._request = request
        self._base_url = base_url
        self._timeout_s = timeout_s
        self._idle_timeout_s = idle_timeout_s
        self._policy = policy
        self._deadline = deadline
        self._clock = clock
        self._failures = 0
        self._met = met
        self._lost_at = 0.0

    def run(self) -> Flow[None]:
        """Emits the items until the cursor is finished.

        Raises:
            ApiError: the server refuses the stream.
            ConnectError: it was lost and did not come back within the policy's `reconnect_s`.
            DeadlineError: the deadline passed.
        """
        while True:
            reply = yield Open(
                self._request(self._cursor.position), self._left(self._timeout_s), self._left(self._idle_timeout_s)
            )
            if isinstance(reply, Response) and reply.status < 400:
                refuse_redirect(reply, self._base_url)
                _expect_event_stream(reply, self._base_url)
                self._met = True
                yield from self._read()
                yield Close()
                if self._cursor.finished:
                    return
            else:
                self._count(reply)
            self._left(0.0)
            if self._failures:
                yield Sleep(self._policy.delay_s(self._failures))

    def _read(self) -> Flow[None]:
        """Until the connection ends. One that brought items clears the failures; one that did not adds to them."""
        parser = SseParser()
        self._failures += 1
        self._lost_at = self._lost_at or self._clock()
        while not self._cursor.finished:
            self._left(0.0)
            chunk = yield Read()
            if not isinstance(chunk, bytes):
                self._give_up_if_too_long()
                return
            self._lost_at = 0.0
            try:
                for message in parser.feed(chunk):
                    for item in self._cursor.take(message):
                        self._failures = 0
                        yield Emit(item)
            except Gap:
                return
            except (msgspec.DecodeError, ValueError) as error:
                raise ProtocolError(f"a message of the event stream cannot be read: {error}") from error

    def _count(self, reply: Response | Failure) -> None:
        """Remember a failed attempt to open; raise where there is no sense in another."""
        error: VulcanError
        if isinstance(reply, Response):
            refused = error_of(reply)
            if not worth_retrying(refused):
                raise refused
            error = refused
        else:
            error = unreachable(self._base_url, reply)
            if reply.untrusted:
                raise error
        self._failures += 1
        self._lost_at = self._lost_at or self._clock()
        if not self._met and self._failures >= self._policy.max_attempts:
            raise error
        self._give_up_if_too_long(error)

    def _give_up_if_too_long(self, error: VulcanError | None = None) -> None:
        if self._lost_at and self._clock() - self._lost_at > self._policy.reconnect_s:
            raise error or ConnectError(f"the stream from {self._base_url} broke off again and again")

    def _left(self, wanted_s: float) -> float:
        if self._deadline is None:
            return wanted_s
        left = self._deadline - self._clock()
        if left <= 0:
            raise DeadlineError("the workload did not end within the time allowed", hint="It runs on; ask again later.")
        return min(wanted_s, left)


def _expect_event_stream(reply: Response, base_url: str) -> None:
    kind = reply.headers.get("content-type", "")
    if not kind.startswith(MEDIA_TYPE):
        raise ProtocolError(f"{base_url} answered {kind or 'without a media type'}, not {MEDIA_TYPE}")
