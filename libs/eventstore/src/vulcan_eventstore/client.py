"""nats-py's client, with a short way out and in for what is frequent.

Its own ways cost a future, a queue and a task switch for each message sent, and a queue, a task switch and the parsing
of all headers for each one received. Here the first message sent in a turn of the event loop is on its way at once,
those behind it in that turn are one more write to the socket, a receiver that does not wait is called from where the
message is read, and headers are parsed when somebody looks.
"""

import asyncio
import logging
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from nats.aio.client import Client
from nats.aio.subscription import Subscription

from vulcan_eventstore.message import Message
from vulcan_eventstore.transport import PatientOnceTransport

_MAX_GATHERED_BYTES: Final = 4 * 1024
"""Few messages, so that the server works on the first ones of a long turn while that still makes the others."""
_MAX_BUFFERED_BYTES: Final = 256 * 1024
_NOT_IN_A_SUBJECT: Final = re.compile(r"\s")
_HEADERS_BEGIN: Final = "NATS/1.0\r\n"

_log = logging.getLogger(__name__)

Headers = Mapping[str, str]
Receiver = Callable[[Message], None]


class DirectClient(Client):
    """Beside what nats-py offers: `send` and `subscribe_directly`. Every message is a `Message`."""

    def __init__(self, transport: PatientOnceTransport) -> None:
        super().__init__()
        self._transport = transport
        self._direct_transport = transport
        self._receivers: dict[int, Receiver] = {}
        self._gathering = False
        self._gathered: list[bytes] = []
        self._gathered_bytes = 0

    def send(self, subject: str, payload: bytes, reply: str, headers: Headers | None) -> bool:
        """Publish at once. False if that has to go nats-py's way: it is not connected, something waits to be sent
        before this, the socket takes no more at the moment, or the message is not as it should be.

        Raises:
            ConnectionResetError: the connection is lost, which is not known yet.
        """
        if (
            not self.is_connected
            or self._pending
            or self._direct_transport.buffered_bytes > _MAX_BUFFERED_BYTES
            or not subject
            or _NOT_IN_A_SUBJECT.search(subject) is not None
        ):
            return False
        if headers is None:
            if len(payload) > self.max_payload:
                return False
            self._gather(b"PUB %b %b %d\r\n%b\r\n" % (subject.encode(), reply.encode(), len(payload), payload))
            return True
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        if lines.count("\r") != len(headers) or lines.count("\n") != len(headers):
            return False
        block = f"{_HEADERS_BEGIN}{lines}\r\n".encode()
        size = len(block) + len(payload)
        if size > self.max_payload:
            return False
        self._gather(
            b"HPUB %b %b %d %d\r\n%b%b\r\n" % (subject.encode(), reply.encode(), len(block), size, block, payload)
        )
        return True

    def _gather(self, command: bytes) -> None:
        if not self._gathering:
            self._gathering = True
            asyncio.get_running_loop().call_soon(self._end_turn)
            self._put(command)
            return
        self._gathered.append(command)
        self._gathered_bytes += len(command)
        if self._gathered_bytes > _MAX_GATHERED_BYTES:
            self._write_gathered()

    def _end_turn(self) -> None:
        self._gathering = False
        self._write_gathered()

    def _write_gathered(self) -> None:
        if self._gathered:
            gathered, self._gathered, self._gathered_bytes = self._gathered, [], 0
            self._put(b"".join(gathered))

    def _put(self, data: bytes) -> None:
        try:
            self._direct_transport.put(data)
        except ConnectionResetError as error:
            _log.debug("not sent: %s", error)  # whoever waits for an answer hears of it when reading fails

    async def _send_command(self, cmd: bytes, priority: bool = False) -> None:
        self._write_gathered()  # it came before
        await super()._send_command(cmd, priority)

    async def subscribe_directly(self, subject: str, receiver: Receiver) -> Subscription:
        """Call `receiver` with each message, from where it is read: it has to return at once. Survives reconnects."""
        sid = self._sid + 1  # known before the server can answer
        self._receivers[sid] = receiver
        try:
            return await self.subscribe(subject)
        except BaseException:
            self._receivers.pop(sid, None)
            raise

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes | None) -> None:
        receiver = self._receivers.get(sid)
        if receiver is None:
            await super()._process_msg(sid, subject, reply, data, headers)  # type: ignore[arg-type] # it takes None too
            return
        try:
            receiver(Message(subject, reply, data, headers))
        except Exception as error:  # noqa: BLE001 - nats-py would end its reading over it
            await self._error_cb(error)

    async def _process_headers(self, headers: Any) -> Any:
        return headers

    def _build_message(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: Any) -> Message:  # noqa: ARG002
        return Message(subject, reply, data, headers)

    def _remove_sub(self, sid: int, max_msgs: int = 0) -> None:
        self._receivers.pop(sid, None)
        super()._remove_sub(sid, max_msgs)
