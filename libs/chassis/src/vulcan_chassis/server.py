"""An HTTP server inside a service's own event loop: uvicorn with httptools, without its signal handlers.

The socket is bound before the server starts, so that port 0 works and the chosen port is known at once.
"""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any, Final

import uvicorn

from vulcan_chassis.errors import StartError
from vulcan_chassis.http_protocol import BoundedHttpProtocol
from vulcan_chassis.listen import parse_listen

BACKLOG: Final = 2048


class HttpServerError(StartError):
    """The HTTP server could not start, or stopped by itself."""


class _Uvicorn(uvicorn.Server):
    """Uvicorn that leaves signals to the service and says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()


class HttpServer:
    """A running server. `await HttpServer.start(...)`, then `run()` in a task of its own, then `stop()`."""

    def __init__(self, app: Any, listen: str, *, stop_timeout_s: float = 5.0) -> None:
        self._host, self._port = parse_listen(listen)
        self._socket: socket.socket | None = None
        self._server = _Uvicorn(
            uvicorn.Config(
                app,
                http=BoundedHttpProtocol,
                loop="none",
                ws="none",
                lifespan="auto",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=max(1, round(stop_timeout_s)),
                backlog=BACKLOG,
                reset_contextvars=True,  # a request that waited behind another would start in that one's context
            )
        )
        self._done = asyncio.Event()

    @property
    def port(self) -> int:
        """The port that is bound, also where 0 was asked for."""
        return self._port

    @property
    def address(self) -> str:
        """`host:port`, to connect to."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._host, self._host)  # noqa: S104 - not bound here
        return f"[{host}]:{self._port}" if ":" in host else f"{host}:{self._port}"

    @property
    def url(self) -> str:
        """`http://host:port`."""
        return f"http://{self.address}"

    def bind(self) -> None:
        """Take the port.

        Raises:
            HttpServerError: it is taken, or not ours to take.
        """
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        try:
            found = socket.getaddrinfo(self._host, self._port, family, socket.SOCK_STREAM)
            # With the protocol named, asyncio turns off Nagle's algorithm; an answer in two writes costs 40 ms else.
            bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.settimeout(0)
            try:
                bound.bind(found[0][4])
            except OSError:
                bound.close()
                raise
        except OSError as error:
            raise HttpServerError(f"cannot listen on {self._host}:{self._port}: {error.strerror}") from error
        self._socket = bound
        self._port = bound.getsockname()[1]

    async def run(self) -> None:
        """Serve until `stop()` or cancellation.

        Raises:
            HttpServerError: the application did not start, or the server stopped by itself.
        """
        if self._socket is None:
            self.bind()
        try:
            await self._server.serve(sockets=[self._socket] if self._socket else None)
        except SystemExit as error:  # uvicorn's way to say that the application's startup failed
            raise HttpServerError("the application did not start") from error
        finally:
            if self._socket is not None:
                self._socket.close()
            self._done.set()
        if not self._server.should_exit:
            raise HttpServerError("the server stopped by itself")

    async def listening(self) -> None:
        """Wait until requests are accepted.

        Raises:
            HttpServerError: the server ended before.
        """
        waiters = [asyncio.create_task(event.wait()) for event in (self._server.listening, self._done)]
        try:
            await asyncio.wait(waiters, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiter in waiters:
                waiter.cancel()
        if not self._server.listening.is_set():
            raise HttpServerError("the application did not start")

    async def stop(self) -> None:
        """Accept nothing new, let what is under way end within the stop timeout, and close."""
        self._server.should_exit = True
        if self._server.started:
            await self._done.wait()
