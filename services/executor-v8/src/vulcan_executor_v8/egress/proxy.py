"""An HTTP proxy for one run: tunnels and plain requests, each to an address that the run's policy allows.

It resolves names itself and dials the address that it checked, so that a name which changes its mind gains nothing.
"""

import asyncio
import ipaddress
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from vulcan_executor_v8.egress.request import BadRequestError, ProxyRequest, parse_head
from vulcan_sandbox.egress import Address, EgressPolicy

_MAX_HEAD: Final = 65_536
_CHUNK: Final = 65_536
_LOOKUPS: Final = 4
"""Names that one run may have looked up at once, on threads of its own: slow answers hold up nobody else."""
_FLUSH_S: Final = 2.0
"""How long a connection that ends may take to hand over what is still in its buffer."""
_ESTABLISHED: Final = b"HTTP/1.1 200 Connection established\r\n\r\n"


class _RefusedError(Exception):
    def __init__(self, status: str, message: str) -> None:
        super().__init__(message)
        self.status = status


class EgressProxy:
    """Listens on a Unix socket while its run lives."""

    def __init__(self, policy: EgressPolicy, *, connect_timeout_s: float, max_connections: int) -> None:
        self._policy = policy
        self._timeout_s = connect_timeout_s
        self._max = max_connections
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()
        self._over = False
        self._lookups = ThreadPoolExecutor(_LOOKUPS, "egress-lookup")

    async def listen(self, path: Path) -> None:
        """Take connections at this path."""
        self._server = await asyncio.start_unix_server(self._accept, path, limit=_MAX_HEAD)
        os.chmod(path, 0o666)  # noqa: PTH101, S103  # the host is another user; one call, too short to need a thread

    async def close(self) -> None:
        """End every connection, now."""
        self._over = True
        if self._server is not None:
            self._server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        self._lookups.shutdown(wait=False, cancel_futures=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._serving) >= self._max:
            writer.transport.abort()
            return
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._answered(reader, writer)
        finally:
            await self._close(writer)

    async def _answered(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(self._timeout_s):
                request = parse_head(await reader.readuntil(b"\r\n\r\n"))
                far_reader, far_writer = await self._dial(request)
        except _RefusedError as error:
            _answer(writer, error.status, str(error))
        except BadRequestError as error:
            _answer(writer, "400 Bad Request", str(error))
        except asyncio.LimitOverrunError:
            _answer(writer, "431 Request Header Fields Too Large", "the head of the request is too long")
        except TimeoutError:
            _answer(writer, "504 Gateway Timeout", "the destination did not answer in time")
        except (asyncio.IncompleteReadError, OSError):
            return
        else:
            try:
                if request.head is None:
                    writer.write(_ESTABLISHED)
                else:
                    far_writer.write(request.head)
                await _join(reader, writer, far_reader, far_writer)
            finally:
                await self._close(far_writer)

    async def _close(self, writer: asyncio.StreamWriter) -> None:
        """Close, and cut off whoever does not take what is still to be sent: a full buffer holds a descriptor."""
        writer.close()
        try:
            async with asyncio.timeout(0 if self._over else _FLUSH_S):
                await writer.wait_closed()
        except (OSError, TimeoutError):
            return
        finally:
            writer.transport.abort()

    async def _dial(self, request: ProxyRequest) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        error: OSError | None = None
        for address in await self._addresses(request.host, request.port):
            try:
                return await asyncio.open_connection(str(address), request.port)
            except OSError as failed:
                error = failed
        reason = error.strerror if error is not None else "it has no address"
        raise _RefusedError("502 Bad Gateway", f"{request.host}:{request.port} cannot be reached: {reason}")

    async def _addresses(self, host: str, port: int) -> list[Address]:
        """The addresses to dial, all of them allowed."""
        try:
            literal = ipaddress.ip_address(host)
        except ValueError:
            literal = None
        if literal is not None:
            if (problem := self._policy.address_problem(literal, port)) is not None:
                raise _RefusedError("403 Forbidden", problem)
            return [literal]
        if (problem := self._policy.name_problem(host, port)) is not None:
            raise _RefusedError("403 Forbidden", problem)
        found = await self._resolve(host, port)
        problems = {address: self._policy.address_problem(address, port, name=host) for address in found}
        allowed = [address for address, problem in problems.items() if problem is None]
        if found and not allowed:
            raise _RefusedError("403 Forbidden", f"{host}: {next(iter(problems.values()))}")
        return allowed

    async def _resolve(self, host: str, port: int) -> list[Address]:
        loop = asyncio.get_running_loop()
        try:
            infos = await loop.run_in_executor(self._lookups, _look_up, host, port)
        except (OSError, ValueError) as error:
            raise _RefusedError("502 Bad Gateway", f"{host} cannot be resolved") from error
        return list(dict.fromkeys(ipaddress.ip_address(address.partition("%")[0]) for address in infos))


def _look_up(host: str, port: int) -> list[str]:
    return [str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


async def _join(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    far_reader: asyncio.StreamReader,
    far_writer: asyncio.StreamWriter,
) -> None:
    """Copy both ways until both have ended, or one failed."""
    async with asyncio.TaskGroup() as group:
        group.create_task(_copy(reader, far_writer))
        group.create_task(_copy(far_reader, writer))


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(_CHUNK):
            target.write(data)
            await target.drain()
        target.write_eof()
    except (OSError, RuntimeError):  # either end went away, or is closed: so does this direction; the other notices
        target.close()


def _answer(writer: asyncio.StreamWriter, status: str, message: str) -> None:
    body = f"vulcan: {message}\n".encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    writer.write(head.encode() + body)
