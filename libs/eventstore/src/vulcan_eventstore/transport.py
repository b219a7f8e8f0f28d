"""nats-py's TCP transport, but it does not wait for ever for a peer that takes nothing any more.

nats-py waits for everything it ever wrote to be taken before it connects anew, without a deadline and before it says
that the connection is lost: against a server that stands still, or is unreachable, with full buffers in between, that
is a quarter of an hour, even if another server of the cluster is at hand.

And writing to a connection that is lost, which is noticed by reading, fails as other faults of the network do: uvloop
raises a RuntimeError there, and asyncio says nothing at all.
"""

import asyncio
from collections.abc import Iterable
from typing import Final

from nats.aio.transport import TcpTransport

_CLOSE_TIMEOUT_S: Final = 1.0


class PatientOnceTransport(TcpTransport):
    """Closes in order if that is quick, and hard if it is not."""

    def __bool__(self) -> bool:
        return True  # or nats-py would replace it by its own before it connects

    @property
    def buffered_bytes(self) -> int:
        """What the socket has not taken yet.

        Raises:
            ConnectionResetError: the connection is lost.
        """
        return self._writer.transport.get_write_buffer_size()

    def put(self, data: bytes) -> None:
        """Hand something to the socket, behind what it has not taken yet.

        Raises:
            ConnectionResetError: the connection is lost.
        """
        self._writer.write(data)

    def write(self, payload: bytes) -> None:
        """See `put`; nats-py's name for it."""
        self._writer.write(payload)

    def writelines(self, payload: Iterable[bytes]) -> None:
        """See `put`; several at once."""
        self._writer.writelines(payload)

    @property
    def _writer(self) -> asyncio.StreamWriter:
        writer: asyncio.StreamWriter | None = self._io_writer
        if writer is None or writer.is_closing():
            raise ConnectionResetError("the connection is lost")
        return writer

    def abort(self) -> None:
        """Close without waiting; what was not sent yet is lost."""
        if self._io_writer is not None:
            self._io_writer.transport.abort()

    async def wait_closed(self) -> None:
        """Return once the connection is closed, hard if the peer does not take what is left soon."""
        if self._io_writer is None:
            return
        # In a task of its own: nats-py waits here twice at times, and whoever is cancelled must not cancel the other.
        closing = asyncio.ensure_future(self._io_writer.wait_closed())
        await asyncio.wait([closing], timeout=_CLOSE_TIMEOUT_S)
        if not closing.done():
            self.abort()
            await asyncio.wait([closing], timeout=_CLOSE_TIMEOUT_S)
        if closing.done():
            closing.result()
