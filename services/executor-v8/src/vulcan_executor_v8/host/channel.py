"""The control socket between the executor and one host: framed JSON out, framed JSON with a payload back."""

import asyncio
import secrets
import socket
import struct
from typing import Any, Final

import msgspec
from msgspec import Struct

_LENGTH: Final = struct.Struct(">I")
_ABSURD: Final = 1 << 28


class ChannelBrokenError(Exception):
    """The host closed its end, or something wrote into it that is not a frame."""


class FrameTooLargeError(ChannelBrokenError):
    """The next frame's header, in which a result travels, is larger than it may be."""


class Frame(Struct, frozen=True, kw_only=True):
    """What a host says. `nonce` repeats that of the request it answers; `size` is the payload's length."""

    type: str
    nonce: str = ""
    size: int = 0
    pid: int = 0
    name: str = ""
    code: int = 0
    result: str | None = None

    def answers(self, nonce: str) -> bool:
        """True if whoever wrote it knows the secret of that request; what it wrote may be anything."""
        return secrets.compare_digest(self.nonce.encode("utf-8", "surrogatepass"), nonce.encode())


_decoder = msgspec.json.Decoder(Frame)


class Channel:
    """One connection. Not for concurrent readers."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, max_frame_bytes: int) -> None:
        self._reader = reader
        self._writer = writer
        self._max = max_frame_bytes

    async def send(self, message: dict[str, Any]) -> None:
        """Send one request.

        Raises:
            ChannelBrokenError: the host is gone.
        """
        body = msgspec.json.encode(message)
        try:
            self._writer.write(_LENGTH.pack(len(body)) + body)
            await self._writer.drain()
        except OSError as error:
            raise ChannelBrokenError(str(error)) from error

    async def receive(self) -> Frame:
        """The header of the next frame; read its payload, if it has one, before the next call.

        Raises:
            ChannelBrokenError: there is no next frame.
        """
        try:
            (length,) = _LENGTH.unpack(await self._reader.readexactly(_LENGTH.size))
            if length > _ABSURD:
                raise ChannelBrokenError("no frame has such a length")
            if length > self._max:
                raise FrameTooLargeError(f"a frame of {length} bytes")
            frame = _decoder.decode(await self._reader.readexactly(length))
        except (asyncio.IncompleteReadError, OSError) as error:
            raise ChannelBrokenError("the host closed its control socket") from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ChannelBrokenError(f"not a frame: {error}") from error
        if frame.size < 0:
            raise ChannelBrokenError("a frame of negative size")
        return frame

    async def payload(self, limit: int) -> bytes:
        """Up to `limit` bytes of the current frame's payload.

        Raises:
            ChannelBrokenError: it ended early.
        """
        try:
            return await self._reader.readexactly(limit)
        except (asyncio.IncompleteReadError, OSError) as error:
            raise ChannelBrokenError("the host closed its control socket") from error

    def pending(self) -> bool:
        """True if the host said something that nobody asked for."""
        return bool(self._reader._buffer) or self._reader.at_eof()  # type: ignore[attr-defined]  # noqa: SLF001

    async def close(self) -> None:
        """Close the connection."""
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except OSError:
            return


class Listener:
    """The socket that a host connects to, once; then it is gone, so that nothing else can."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(0)
        self._socket.bind(path)

    def fileno(self) -> int:
        """The descriptor of the listening socket."""
        return self._socket.fileno()

    def listen(self) -> None:
        """Let one host in."""
        self._socket.listen(1)

    async def accept(self, max_frame_bytes: int) -> tuple[Channel, int | None]:
        """The host's connection, and its process id as this process sees it, where the system tells."""
        connection, _ = await asyncio.get_running_loop().sock_accept(self._socket)
        pid = _peer(connection)
        reader, writer = await asyncio.open_unix_connection(sock=connection)
        return Channel(reader, writer, max_frame_bytes), pid

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()


def _peer(connection: socket.socket) -> int | None:
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return None
    pid, _, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, option, struct.calcsize("3i")))
    return int(pid)
