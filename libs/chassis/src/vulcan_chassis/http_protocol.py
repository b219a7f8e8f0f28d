"""Uvicorn's HTTP protocol with a bound on what comes without being a request or its body, and on how long an answer may
lie unread: uvicorn itself has neither with httptools.

Without them a stranger, without any key, could fill the memory with one endless header or trailer, or hold sockets and
what is written to them for ever by never ending a header, or never reading an answer.
"""

import asyncio
from http import HTTPStatus
from typing import Any, Final

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from vulcan_chassis import direct_body, logs
from vulcan_chassis.direct_body import DirectBody
from vulcan_chassis.head_with_body import HeadWithBody
from vulcan_chassis.problems import ProblemError
from vulcan_contracts.ids import new_request_id
from vulcan_contracts.problem import MEDIA_TYPE

MAX_HEAD_BYTES: Final = 64 * 1024
HEAD_TIMEOUT_S: Final = 20.0
WRITE_TIMEOUT_S: Final = 90.0
"""How long a client may take nothing of what waits for it. More than the 60 s that a stream of the gateway gives each
piece unless told otherwise: that cuts off first, and knows what it cuts off."""


def _answer(status: HTTPStatus, code: str, detail: str) -> bytes:
    """A whole HTTP response with a problem document, for what never becomes a request."""
    problem = ProblemError(status, code, detail).to_problem(request_id=new_request_id())
    body = msgspec.json.encode(problem)
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: {MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\n"
        f"x-request-id: {problem.request_id}\r\nx-content-type-options: nosniff\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + body


class BoundedHttpProtocol(HttpToolsProtocol):
    """Closes a connection whose request line, headers or trailers are too large, whose head does not come to an end in
    time, or whose client does not read."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._idle_bytes = 0  # that came since the last of a body, or of anything else that is let go of at once
        self._in_head = False
        self._head_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._body: DirectBody | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """A client is there; its first request is awaited."""
        super().connection_made(transport)
        self._head_begins()

    def data_received(self, data: bytes) -> None:
        """Parse, unless the head, the trailers or what is around the chunks of a body have grown too large."""
        if self.transport.is_closing():
            return
        if self._idle_bytes > MAX_HEAD_BYTES:
            self._refuse(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "header_too_large", "Send less before or after the body."
            )
            return
        self._idle_bytes += len(data)
        super().data_received(data)

    def on_message_begin(self) -> None:
        """The parser found the beginning of a request, perhaps in the middle of a chunk."""
        super().on_message_begin()
        self._idle_bytes = 0
        if not self._in_head:
            self._head_begins()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header is whole; or a trailer, which nothing here reads and nobody may take for a header."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._idle_bytes = 0
        self._head_ends()
        if self._body is not None:
            self._body.end()  # also where the client did not wait for the end of its answer
        super().on_headers_complete()
        head_with_body = HeadWithBody(self.transport, self.loop, self._close)
        self.cycle.transport = head_with_body
        self._body = DirectBody(self.cycle, head_with_body.flush, self.transport.write)
        direct_body.offer(self.scope, self._body)

    def on_chunk_header(self) -> None:
        """A chunk of a body begins."""
        self._idle_bytes = 0

    def on_body(self, body: bytes) -> None:
        """A piece of a body came."""
        self._idle_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole, with its body and trailers."""
        self._idle_bytes = 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """An answer is over."""
        self._body_changed()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """The client does not keep up."""
        self._body_changed()
        super().pause_writing()
        self._expect_reading()

    def resume_writing(self) -> None:
        """The client has caught up."""
        if not self.transport.is_closing():
            self._expect_no_reading()
        super().resume_writing()

    def shutdown(self) -> None:
        """The server stops."""
        super().shutdown()
        self._closed()

    def timeout_keep_alive_handler(self) -> None:
        """No further request came."""
        super().timeout_keep_alive_handler()
        self._closed()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self._head_ends()
        self._expect_no_reading()
        self._body_changed()
        super().connection_lost(exc)

    def _body_changed(self) -> None:
        if self._body is not None:
            self._body.changed()

    def _head_begins(self) -> None:
        self._in_head = True
        self._head_bytes = 0
        self._head_timer = self.loop.call_later(HEAD_TIMEOUT_S, self._too_slow)

    def _head_ends(self) -> None:
        self._in_head = False
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _too_slow(self) -> None:
        self._refuse(HTTPStatus.REQUEST_TIMEOUT, "request_timeout", f"No request came within {HEAD_TIMEOUT_S:g} s.")

    def send_400_response(self, msg: str) -> None:
        """What uvicorn calls for what is no HTTP."""
        self._refuse(HTTPStatus.BAD_REQUEST, "bad_request", msg)

    def _refuse(self, status: HTTPStatus, code: str, detail: str) -> None:
        self._head_ends()
        if not self.transport.is_closing():
            self.transport.write(_answer(status, code, detail))
            self._close()

    def _close(self) -> None:
        """End the connection once all is written, or the client stops reading."""
        self.transport.close()
        self._closed()

    def _closed(self) -> None:
        if self.transport.is_closing():
            self._expect_reading()

    def _expect_reading(self) -> None:
        unread_bytes = self.transport.get_write_buffer_size()
        if unread_bytes and self._write_timer is None:
            self._write_timer = self.loop.call_later(WRITE_TIMEOUT_S, self._look_for_reading, unread_bytes)

    def _expect_no_reading(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def _look_for_reading(self, unread_bytes_before: int) -> None:
        self._write_timer = None
        if self.transport.get_write_buffer_size() < unread_bytes_before:
            self._expect_reading()
        else:
            logs.get().info("cut off a client that left its answer unread", timeout_s=WRITE_TIMEOUT_S)
            self.transport.abort()
