"""The one connection of a process to NATS, with a deadline on everything.

Around nats-py for what it leaves open: its requests wait their whole timeout when the connection breaks (here they fail
at once), its `flush` can end the read loop when a pong comes late (never used here), and publishes while away are
buffered and sent late (here they wait for the connection, or fail).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Annotated, Final, Self

import nats.errors
from msgspec import Meta, Struct
from nats.aio.subscription import Subscription as NatsSubscription

from vulcan_eventstore import metrics
from vulcan_eventstore.client import DirectClient, Headers, Receiver
from vulcan_eventstore.errors import (
    BusClosedError,
    EventStoreUnavailableError,
    IncompatibleServerError,
    PayloadTooLargeError,
)
from vulcan_eventstore.hooks import Hooks
from vulcan_eventstore.message import Message
from vulcan_eventstore.replies import Replies
from vulcan_eventstore.requirements import check_server
from vulcan_eventstore.transport import PatientOnceTransport

_CLOSE_TIMEOUT_S: Final = 2.0
_HEADER_LINE_BYTES: Final = len("NATS/1.0\r\n") + len("\r\n")
_HEADER_SEPARATOR_BYTES: Final = len(": ") + len("\r\n")

_log = logging.getLogger(__name__)

Seconds = Annotated[float, Meta(gt=0)]


class NatsSettings(Struct, frozen=True, kw_only=True):
    """How to reach NATS. `url` may name several servers, separated by commas."""

    url: str = "nats://127.0.0.1:4222"
    credentials_file: str = ""
    replicas: Annotated[int, Meta(ge=1, le=5)] = 1
    connect_timeout_s: Seconds = 10.0
    request_timeout_s: Seconds = 2.0
    reconnect_wait_s: Seconds = 0.2
    ping_interval_s: Seconds = 5.0


class Subscription:
    """Interest in a core subject, until `close`. Survives reconnects."""

    def __init__(self, bus: "Bus", inner: NatsSubscription, sid: int) -> None:
        self._bus = bus
        self._inner = inner
        self._sid = sid
        self._closed = False

    async def close(self) -> None:
        """End it. Safe to repeat, and after the connection was closed."""
        if self._closed:
            return
        self._closed = True
        await self._bus.forget(self._inner, self._sid)


class Bus:
    """A connection that comes back by itself. Made by `connect`, ended by `close`."""

    def __init__(self, client: DirectClient, transport: PatientOnceTransport, settings: NatsSettings) -> None:
        self._client = client
        self._transport = transport
        self._settings = settings
        self._up = asyncio.Event()
        self._closing = asyncio.Event()
        self._inbox = f"{client.new_inbox()}."
        self._replies = Replies(self._inbox)
        self._on_reconnect = Hooks()
        self._on_disconnect = Hooks()
        self._on_overflow: dict[int, Callable[[], None]] = {}
        self._last_error: Exception | None = None

    @classmethod
    async def connect(cls, settings: NatsSettings, *, name: str) -> Self:
        """Connect, trying for `connect_timeout_s`, and check that the server will do.

        Raises:
            EventStoreUnavailableError: nobody answered in time, or the credentials were refused.
            IncompatibleServerError: the server is too old or takes too little.
        """
        transport = PatientOnceTransport()  # type: ignore[no-untyped-call] # nats-py does not annotate it
        client = DirectClient(transport)
        bus = cls(client, transport, settings)
        try:
            async with asyncio.timeout(settings.connect_timeout_s):
                await client.connect(
                    [url.strip() for url in settings.url.split(",")],
                    name=name,
                    user_credentials=settings.credentials_file or None,
                    connect_timeout=settings.connect_timeout_s,  # type: ignore[arg-type] # declared int, used as seconds
                    reconnect_time_wait=settings.reconnect_wait_s,  # type: ignore[arg-type] # the same
                    max_reconnect_attempts=-1,
                    ping_interval=settings.ping_interval_s,  # type: ignore[arg-type] # the same
                    flush_timeout=settings.request_timeout_s,
                    error_cb=bus._error,
                    disconnected_cb=bus._disconnected,
                    reconnected_cb=bus._reconnected,
                    closed_cb=bus._closed,
                )
        except (TimeoutError, OSError, nats.errors.Error) as failure:
            cause = bus._last_error or failure
            await bus.close()
            message = f"cannot connect to NATS at {_without_secrets(settings.url)}: {str(cause) or repr(cause)}"
            raise EventStoreUnavailableError(message) from failure
        except BaseException:
            await bus.close()
            raise
        try:
            check_server(client)
            await client.subscribe_directly(f"{bus._inbox}*", bus._replies.dispatch)
        except BaseException:
            await bus.close()
            raise
        bus._up.set()
        metrics.CONNECTED.set(1)
        return bus

    async def close(self) -> None:
        """End the connection and everything that waits on it. Safe to repeat."""
        self._closing.set()
        self._up.clear()
        self._fail_waiting()
        try:
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await self._client.close()
        except OSError as error:  # TimeoutError is one
            _log.warning("the connection to NATS did not close in order: %r", error)
            self._transport.abort()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.close()

    @property
    def connected(self) -> bool:
        """True while the server is there."""
        return self._up.is_set()

    @property
    def closed(self) -> bool:
        """True once the connection is closed for good, by `close` or by the server's refusal."""
        return self._closing.is_set()

    @property
    def settings(self) -> NatsSettings:
        """What it was connected with."""
        return self._settings

    @property
    def max_payload_bytes(self) -> int:
        """The largest message that the server takes, headers included."""
        return self._client.max_payload

    def on_reconnect(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back each time that the connection came back and all subscriptions are in place again.

        Returns:
            what ends it.
        """
        return self._on_reconnect.add(callback)

    def on_disconnect(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back each time that the connection is lost, or closed.

        Returns:
            what ends it.
        """
        return self._on_disconnect.add(callback)

    async def wait_closed(self) -> None:
        """Return once the connection is closed for good. A service that did not close it has to end then."""
        await self._closing.wait()

    async def wait_connected(self, timeout_s: float) -> None:
        """Return once the server is there.

        Raises:
            EventStoreUnavailableError: it was not, all the time.
            BusClosedError: it never will be.
        """
        if self._closing.is_set():
            raise BusClosedError("the connection to NATS is closed")
        if self._up.is_set():
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def wake() -> None:
            if not waiter.done():
                waiter.set_result(None)

        remove = self.on_reconnect(wake)
        try:
            async with asyncio.timeout(timeout_s):
                await self._replies.wait(waiter)
        except TimeoutError:
            raise EventStoreUnavailableError("NATS is away") from self._last_error
        finally:
            remove()

    async def publish(self, subject: str, payload: bytes, *, reply: str = "", headers: Headers | None = None) -> None:
        """Hand a core message to the connection. At most once; nothing is buffered while the server is away.

        Raises:
            EventStoreUnavailableError: the server is away, or takes nothing for `request_timeout_s`; it may get it yet.
            PayloadTooLargeError: the server takes no message of this size.
        """
        if not self._up.is_set():
            self._raise_away()
        try:
            if self._client.send(subject, payload, reply, headers):
                return
        except OSError as error:
            raise EventStoreUnavailableError(f"cannot send to NATS: {error}") from error
        size = len(payload) + _size(headers)
        if size > self._client.max_payload:  # the server would end the connection over it
            raise PayloadTooLargeError(f"a message of {size} bytes; NATS takes {self._client.max_payload}")
        try:
            async with asyncio.timeout(self._settings.request_timeout_s):
                await self._publish_slowly(subject, payload, reply, headers)
        except TimeoutError as error:
            raise EventStoreUnavailableError("NATS takes no more at the moment") from error
        except (OSError, nats.errors.Error) as error:
            raise EventStoreUnavailableError(f"cannot send to NATS: {error}") from error

    async def _publish_slowly(self, subject: str, payload: bytes, reply: str, headers: Headers | None) -> None:
        task = asyncio.current_task()
        cancelling = 0 if task is None else task.cancelling()
        await self._client.publish(subject, payload, reply=reply, headers=headers)  # type: ignore[arg-type] # read only
        if task is not None and task.cancelling() > cancelling:
            raise asyncio.CancelledError  # nats-py swallows it while it waits for its buffers to empty

    async def request(
        self, subject: str, payload: bytes, *, headers: Headers | None = None, timeout_s: float | None = None
    ) -> Message:
        """Send, and wait for the one reply; fails at once when the connection breaks meanwhile.

        Raises:
            EventStoreUnavailableError: no reply in time, or nobody listens there.
        """
        return await self._replies.exchange(
            lambda inbox: self.publish(subject, payload, reply=inbox, headers=headers),
            subject,
            self._settings.request_timeout_s if timeout_s is None else timeout_s,
        )

    async def request_many(
        self,
        subject: str,
        payload: bytes,
        take: Callable[[Message], bool],
        *,
        headers: Headers | None = None,
        timeout_s: float | None = None,
    ) -> None:
        """Send, and give each reply to `take` until it says that this was the last.

        Raises:
            EventStoreUnavailableError: the last reply did not come in time, or nobody listens there.
        """
        await self._replies.exchange(
            lambda inbox: self.publish(subject, payload, reply=inbox, headers=headers),
            subject,
            self._settings.request_timeout_s if timeout_s is None else timeout_s,
            take,
        )

    async def subscribe(
        self,
        subject: str,
        callback: Callable[[Message], Awaitable[None]],
        *,
        queue: str = "",
        on_overflow: Callable[[], None] | None = None,
        max_pending_messages: int = 65536,
        max_pending_bytes: int = 64 * 1024 * 1024,
    ) -> Subscription:
        """Receive core messages, one after the other. Not yet active at the server on return: see `settle`.

        on_overflow: said when messages were dropped because the callback is slower than they come.

        Raises:
            EventStoreUnavailableError: the connection is closed.
        """
        try:
            inner = await self._client.subscribe(
                subject,
                queue=queue,
                cb=callback,  # type: ignore[arg-type] # the client gives it its own kind of message
                pending_msgs_limit=max_pending_messages,
                pending_bytes_limit=max_pending_bytes,
            )
        except nats.errors.Error as error:
            raise BusClosedError(f"cannot subscribe to {subject}: {error}") from error
        sid = inner._id  # noqa: SLF001 - what an overflow is reported under; there is no public name
        if on_overflow is not None:
            self._on_overflow[sid] = on_overflow
        return Subscription(self, inner, sid)

    async def subscribe_directly(self, subject: str, receiver: Receiver) -> Subscription:
        """Receive core messages, each from where it is read, so that none is ever dropped: `receiver` has to return at
        once. Not yet active at the server on return: see `settle`.

        Raises:
            EventStoreUnavailableError: the connection is closed.
        """
        try:
            inner = await self._client.subscribe_directly(subject, receiver)
        except nats.errors.Error as error:
            raise BusClosedError(f"cannot subscribe to {subject}: {error}") from error
        return Subscription(self, inner, inner._id)  # noqa: SLF001 - as in `subscribe`

    async def forget(self, inner: NatsSubscription, sid: int) -> None:
        """End a subscription; `Subscription.close` calls it."""
        self._on_overflow.pop(sid, None)
        if self._client.is_closed:
            return
        try:
            await inner.unsubscribe()
        except nats.errors.Error as error:
            _log.debug("unsubscribe: %s", error)

    async def settle(self, timeout_s: float | None = None) -> None:
        """Return once the server has acted on everything sent so far: a message to ourselves came back.

        Raises:
            EventStoreUnavailableError: it did not come back in time.
        """
        await self._replies.exchange(
            lambda inbox: self.publish(inbox, b""),
            "its own inbox",
            self._settings.request_timeout_s if timeout_s is None else timeout_s,
        )

    def new_inbox(self) -> str:
        """A subject that nobody else uses."""
        return self._client.new_inbox()

    def _raise_away(self) -> None:
        if self._closing.is_set():
            raise BusClosedError("the connection to NATS is closed")
        raise EventStoreUnavailableError("NATS is away")

    def _fail_waiting(self) -> None:
        self._replies.fail_all(BusClosedError if self._closing.is_set() else EventStoreUnavailableError)

    async def _disconnected(self) -> None:
        was_up = self._up.is_set()
        self._up.clear()
        metrics.CONNECTED.set(0)
        if was_up and not self._closing.is_set():
            _log.warning("lost the connection to NATS")
        self._fail_waiting()
        self._on_disconnect.run()

    async def _reconnected(self) -> None:
        try:
            check_server(self._client)
        except IncompatibleServerError as error:
            _log.critical("closing the connection to NATS: %s", error)
            self._last_error = error
            self._closing.set()
            self._fail_waiting()
            return
        self._up.set()
        metrics.CONNECTED.set(1)
        metrics.RECONNECTS.inc()
        _log.info("connected to NATS again")
        self._on_reconnect.run()

    async def _closed(self) -> None:
        self._closing.set()
        self._up.clear()
        self._fail_waiting()

    async def _error(self, error: Exception) -> None:
        self._last_error = error
        if isinstance(error, nats.errors.SlowConsumerError):
            overflow = self._on_overflow.get(error.sid)
            if overflow is None:
                _log.error("dropped a message on %s: its reader is too slow", error.subject)
            else:
                overflow()
        elif isinstance(error, (OSError, nats.errors.Error)):
            _log.debug("NATS: %s", error)
        else:
            _log.error("a NATS callback failed", exc_info=error)


def _size(headers: Headers | None) -> int:
    if headers is None:
        return 0
    return _HEADER_LINE_BYTES + sum(len(k) + len(v.encode()) + _HEADER_SEPARATOR_BYTES for k, v in headers.items())


def _without_secrets(url: str) -> str:
    return ",".join(part.rsplit("@", 1)[-1] for part in url.split(","))
