"""The head of an answer goes out with the first piece of its body: one write, and one wake-up of the client, for both.

Uvicorn writes each by itself. To write costs a small answer more than anything else that uvicorn does for it.
"""

import asyncio
from collections.abc import Callable


class HeadWithBody(asyncio.Transport):
    """What an answer is written to: holds its first write back until the second, or the end of the loop's turn."""

    def __init__(
        self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, close: Callable[[], None]
    ) -> None:
        super().__init__()
        self._transport = transport
        self._loop = loop
        self._close = close
        self._begun = False
        self._head = b""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Write soon, or at once."""
        if not self._begun:
            self._begun = True
            self._head = bytes(data)
            self._loop.call_soon(self.flush)
        elif self._head:
            head, self._head = self._head, b""
            self._transport.write(head + data)
        else:
            self._transport.write(data)

    def flush(self) -> None:
        """Write what is held back."""
        if self._head:
            head, self._head = self._head, b""
            self._transport.write(head)

    def is_closing(self) -> bool:
        """As the connection."""
        return self._transport.is_closing()

    def close(self) -> None:
        """End the connection, once all is written."""
        self.flush()
        self._close()
