"""Requests and their replies, over one wildcard inbox.

nats-py's own requests wait their whole timeout when the connection breaks, and take one reply only.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Final

from nats.aio.msg import Msg

from vulcan_eventstore.errors import EventStoreUnavailableError

_NO_RESPONDERS: Final = "503"


class Replies:
    """Hands what arrives under `inbox` to the one who waits for it."""

    def __init__(self, inbox: str) -> None:
        self._inbox = inbox
        self._receivers: dict[str, Callable[[Msg], None]] = {}
        self._waiting: set[asyncio.Future[None]] = set()
        self._tokens = itertools.count()

    async def dispatch(self, message: Msg) -> None:
        """Take one message of the inbox; one for nobody (any more) is dropped."""
        receive = self._receivers.get(message.subject[len(self._inbox) :])
        if receive is not None:
            receive(message)

    async def exchange(
        self, send: Callable[[str], Awaitable[None]], take: Callable[[Msg], bool], subject: str, timeout_s: float
    ) -> None:
        """Send with a reply subject, and give each reply to `take` until it says that this was the last.

        Raises:
            EventStoreUnavailableError: the last reply did not come in time, or nobody listens on the subject.
        """
        token = str(next(self._tokens))
        finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def receive(message: Msg) -> None:
            if finished.done():
                return
            if message.headers is not None and message.headers.get("Status") == _NO_RESPONDERS and not message.data:
                finished.set_exception(EventStoreUnavailableError(f"nobody answers on {subject}"))
                return
            try:
                if take(message):
                    finished.set_result(None)
            except Exception as error:  # noqa: BLE001 - raised to the one who waits
                finished.set_exception(error)

        self._receivers[token] = receive
        try:
            await send(self._inbox + token)
            async with asyncio.timeout(timeout_s):
                await self.wait(finished)
        except TimeoutError:
            raise EventStoreUnavailableError(f"no answer on {subject} in time") from None
        finally:
            del self._receivers[token]

    async def wait(self, future: asyncio.Future[None]) -> None:
        """Wait for a future, or for the connection to break."""
        self._waiting.add(future)
        try:
            await future
        finally:
            self._waiting.discard(future)

    def fail_all(self, error: Callable[[str], Exception]) -> None:
        """Let everybody who waits know that nothing more will come."""
        for waiter in list(self._waiting):
            if not waiter.done():
                waiter.set_exception(error("the connection to NATS was lost"))
