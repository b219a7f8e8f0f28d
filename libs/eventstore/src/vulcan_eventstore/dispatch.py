"""The way from the scheduler to a node: one small queue per node, in the server's memory.

A claim that is not done is delivered again; the fence on the workload's log makes a second delivery harmless. A server
that restarts has lost the queues and their stream: both sides make them again, and the scheduler offers again what has
not started.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final, Self

import msgspec
from msgspec import Struct

from vulcan_contracts import subjects
from vulcan_contracts.dispatch import Assignment, decode_assignment, decode_hint, encode_assignment, encode_hint
from vulcan_contracts.workload import Workload
from vulcan_eventstore import jetstream, metrics
from vulcan_eventstore.backoff import at_start, patiently, within
from vulcan_eventstore.connection import Bus, Subscription
from vulcan_eventstore.errors import ApiError, BusClosedError, EventStoreUnavailableError
from vulcan_eventstore.jetstream import STREAM_NOT_FOUND, nanoseconds
from vulcan_eventstore.message import Message
from vulcan_eventstore.streams import StreamSettings, dispatch_config, ensure_stream

_GRACE_S: Final = 1.0
_INACTIVE_S: Final = 3600.0
_MAX_HINT_BYTES: Final = 64 * 1024
_log = logging.getLogger(__name__)
_encoder = msgspec.json.Encoder()


class ClaimSettings(Struct, frozen=True, kw_only=True):
    """redeliver_after_s: when a claim that is not done is delivered again; longer than it takes to start an attempt."""

    redeliver_after_s: float = 30.0


class Dispatcher:
    """The scheduler's side."""

    def __init__(self, bus: Bus, settings: StreamSettings | None = None) -> None:
        self._bus = bus
        self._settings = settings or StreamSettings()

    async def offer(self, node: str, assignment: Assignment, *, deadline_s: float = 5.0) -> None:
        """Put an assignment into the node's queue. The same one again is harmless.

        Raises:
            EventStoreUnavailableError: not queued by the deadline, or not known to be.
        """
        payload = encode_assignment(assignment)
        headers = {jetstream.MSG_ID: f"{assignment.workload.id}.{assignment.seq}"}
        if assignment.workload.traceparent is not None:
            headers["traceparent"] = assignment.workload.traceparent
        subject = subjects.dispatch(node)
        give_up = time.monotonic() + deadline_s
        if self._bus.connected:
            # As a rule this is all. A request has a deadline of its own; what follows needs one around it.
            timeout_s = min(deadline_s, self._bus.settings.request_timeout_s)
            try:
                await jetstream.publish(self._bus, subject, payload, headers=headers, timeout_s=timeout_s)
            except BusClosedError:
                raise
            except EventStoreUnavailableError:
                metrics.RETRIES.labels("dispatch").inc()
            else:
                return

        async def store() -> None:
            await ensure_stream(
                self._bus, dispatch_config(self._settings)
            )  # nobody listens on the subject after a server's restart
            await jetstream.publish(self._bus, subject, payload, headers=headers)

        await within(max(0.0, give_up - time.monotonic()), patiently(self._bus, "dispatch", store))

    async def hint(self, node: str, workload: Workload) -> None:
        """Say what is about to be offered, to whoever listens; lost if nobody does, or if NATS is away."""
        payload = encode_hint(workload)
        if len(payload) > _MAX_HINT_BYTES:
            return
        try:
            await self._bus.publish(subjects.hint(node), payload)
        except EventStoreUnavailableError as error:
            _log.debug("no hint to %s: %s", node, error)

    async def withdraw(self, node: str) -> None:
        """Throw away what waits in the queue of a node that is gone.

        Raises:
            EventStoreUnavailableError: NATS does not answer.
        """
        try:
            await jetstream.purge(self._bus, subjects.DISPATCH_STREAM, subjects.dispatch(node))
        except ApiError as error:
            if error.err_code != STREAM_NOT_FOUND:
                raise


async def receive_hints(bus: Bus, node: str, callback: Callable[[Workload], None]) -> Subscription:
    """Call back with each workload that is about to be put into the node's queue; it is active on return.

    Raises:
        EventStoreUnavailableError: NATS does not answer.
    """

    def receive(message: Message) -> None:
        try:
            workload = decode_hint(message.data)
        except msgspec.DecodeError as error:
            _log.warning("%s: not a hint: %s", message.subject, error)
        else:
            callback(workload)

    subscription = await bus.subscribe_directly(subjects.hint(node), receive)
    try:
        await at_start(bus, bus.settle)
    except BaseException:
        await subscription.close()
        raise
    return subscription


class Claim:
    """An assignment taken from the queue. It comes again unless `done` is said in time."""

    def __init__(self, bus: Bus, assignment: Assignment, reply: str) -> None:
        self._bus = bus
        self._reply = reply
        self.assignment = assignment

    async def done(self) -> None:
        """Take it off the queue for good. Not confirmed: if it gets lost, the claim comes again, which is harmless."""
        await self._answer(b"+ACK")

    async def put_back(self) -> None:
        """Let it be delivered again at once."""
        await self._answer(b"-NAK")

    async def _answer(self, word: bytes) -> None:
        try:
            await self._bus.publish(self._reply, word)
        except EventStoreUnavailableError as error:
            _log.info("the claim of %s stays on the queue: %s", self.assignment.workload.id, error)


class Claims:
    """An executor's side: takes as many assignments as there is room for, and never more."""

    def __init__(self, bus: Bus, node: str, settings: ClaimSettings) -> None:
        self._bus = bus
        self._node = node
        self._settings = settings
        self._inbox = ""
        self._subscription: Subscription | None = None
        self._arrived: list[Claim] = []
        self._unreadable: list[str] = []
        self._waiting: asyncio.Future[None] | None = None
        self._wanted = 0
        self._more = True
        """There may be something in the queue now: it is worth asking for what is there without waiting."""
        self._broken = ""

    @classmethod
    async def open(cls, bus: Bus, node: str, settings: ClaimSettings | None = None) -> Self:
        """Take part in the node's queue.

        Raises:
            EventStoreUnavailableError: NATS does not answer.
        """
        claims = cls(bus, node, settings or ClaimSettings())
        await at_start(bus, claims._renew)
        return claims

    async def take(self, max_claims: int, timeout_s: float) -> list[Claim]:
        """Up to `max_claims`, as soon as there is one; none after `timeout_s` or while NATS is away.

        Raises:
            BusClosedError: the connection is closed for good.
        """
        give_up = time.monotonic() + timeout_s
        claims = self._collect(max_claims)
        try:
            await self._bus.wait_connected(timeout_s)
            if self._broken:
                await self._renew()
            if not claims and self._more:
                await self._pull(max_claims, {"no_wait": True}, give_up)
                claims = self._collect(max_claims)
            left_s = give_up - time.monotonic()
            if not claims and not self._broken and left_s > 0:
                await self._pull(1, {"expires": nanoseconds(left_s)}, give_up)
                if self._arrived and self._more and max_claims > 1:
                    await self._pull(max_claims - 1, {"no_wait": True}, give_up)
                claims = self._collect(max_claims)
        except EventStoreUnavailableError as error:
            if self._bus.closed:
                raise
            _log.debug("no claims: %s", error)
        if not claims and self._bus.closed:
            raise BusClosedError("the connection to NATS is closed")
        left_s = give_up - time.monotonic()
        if not claims and self._broken and left_s > 0:
            _log.info("dispatch to %s: %s", self._node, self._broken)
            await asyncio.sleep(min(0.1, left_s))  # nothing is asked of a server in trouble in a busy loop
        return claims

    async def close(self) -> None:
        """Ask for nothing more. The queue stays, for the node's next executor."""
        if self._subscription is not None:
            await self._subscription.close()
        for claim in self._arrived:
            await claim.put_back()
        self._arrived.clear()

    def _collect(self, max_claims: int) -> list[Claim]:
        claims, self._arrived = self._arrived[:max_claims], self._arrived[max_claims:]
        return claims

    async def _pull(self, batch: int, how: dict[str, object], give_up: float) -> None:
        """Ask for a batch, and return when it came or the server said that no more of it will."""
        self._waiting = asyncio.get_running_loop().create_future()
        self._wanted = len(self._arrived) + batch
        remove_hook = self._bus.on_disconnect(lambda: self._give_up("the connection was lost"))
        try:
            subject = f"$JS.API.CONSUMER.MSG.NEXT.{subjects.DISPATCH_STREAM}.{self._node}"
            await self._bus.publish(subject, _encoder.encode({"batch": batch, **how}), reply=self._inbox)
            async with asyncio.timeout(max(0.0, give_up - time.monotonic()) + _GRACE_S):
                await self._waiting
            while self._unreadable:
                await self._bus.publish(self._unreadable.pop(), b"+TERM")
        except TimeoutError:
            self._broken = "a pull was not answered"
        except BaseException:
            self._broken = "a pull was given up"  # what it still brings must not arrive: there may be no room then
            raise
        finally:
            remove_hook()
            self._waiting = None

    def _receive(self, message: Message) -> None:
        status = message.status
        if status is None:
            self._accept(message)
        elif status in ("404", "408"):
            self._more = False
            self._wake()
        elif status != "100":
            self._give_up(f"{status} {message.headers.get('Description', '')}")

    def _accept(self, message: Message) -> None:
        _, _, following = message.delivery
        self._more = following > 0
        try:
            self._arrived.append(Claim(self._bus, decode_assignment(message.data), message.reply))
        except msgspec.DecodeError as error:
            metrics.SKIPPED.labels(subjects.DISPATCH_STREAM).inc()
            _log.error("%s: not an assignment, thrown away: %s", message.subject, error)
            self._unreadable.append(message.reply)
            self._wanted -= 1
        if len(self._arrived) >= self._wanted:
            self._wake()

    def _give_up(self, why: str) -> None:
        self._broken = why
        self._wake()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    async def _renew(self) -> None:
        """A new inbox, so that nothing an earlier pull asked for arrives any more, on the same queue."""
        if self._subscription is not None:
            await self._subscription.close()
        self._inbox = self._bus.new_inbox()
        self._subscription = await self._bus.subscribe_directly(self._inbox, self._receive)
        config = {
            "durable_name": self._node,
            "name": self._node,
            "filter_subject": subjects.dispatch(self._node),
            "deliver_policy": "all",
            "ack_policy": "explicit",
            "ack_wait": nanoseconds(self._settings.redeliver_after_s),
            "max_deliver": -1,
            "max_ack_pending": -1,
            "max_waiting": 512,
            "inactive_threshold": nanoseconds(_INACTIVE_S),
        }
        body = {"stream_name": subjects.DISPATCH_STREAM, "config": config}
        operation = f"CONSUMER.CREATE.{subjects.DISPATCH_STREAM}.{self._node}"
        try:
            await jetstream.call(self._bus, operation, body)
        except ApiError as error:
            if error.err_code != STREAM_NOT_FOUND:
                raise
            await ensure_stream(self._bus, dispatch_config(StreamSettings()))
            await jetstream.call(self._bus, operation, body)
        self._broken, self._more = "", True
