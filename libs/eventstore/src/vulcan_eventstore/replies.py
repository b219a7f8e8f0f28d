"""Requests and their replies, over one wildcard inbox.

nats-py's own requests wait their whole timeout when the connection breaks, and take one reply only.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Final

from vulcan_eventstore.errors import EventStoreUnavailableError, NobodyListensError
from vulcan_eventstore.message import Message

_NO_RESPONDERS: Final = "503"
_TICK_S: Final = 0.05
"""How exact timeouts are: all questions share one timer, since one of its own costs each as much as its answer."""

Take = Callable[[Message], bool]


class _Question:
    __slots__ = ("answer", "give_up_at", "subject", "take")

    def __init__(self, answer: "asyncio.Future[Message]", take: Take | None, subject: str, give_up_at: float) -> None:
        self.answer = answer
        self.take = take
        self.subject = subject
        self.give_up_at = give_up_at

    def receive(self, message: Message) -> None:
        if self.answer.done():
            return
        if message.status == _NO_RESPONDERS:
            self.answer.set_exception(NobodyListensError(f"nobody answers on {self.subject}"))
            return
        try:
            if self.take is None or self.take(message):
                self.answer.set_result(message)
        except Exception as error:  # noqa: BLE001 - raised to the one who waits
            self.answer.set_exception(error)

    def fail(self, why: str) -> None:
        if not self.answer.done():
            self.answer.set_exception(EventStoreUnavailableError(why))


class Replies:
    """Hands what arrives under `inbox` to the one who waits for it."""

    def __init__(self, inbox: str) -> None:
        self._inbox = inbox
        self._questions: dict[str, _Question] = {}
        self._waiting: set[asyncio.Future[None]] = set()
        self._tokens = itertools.count()
        self._timer: asyncio.TimerHandle | None = None

    def dispatch(self, message: Message) -> None:
        """Take one message of the inbox; one for nobody (any more) is dropped."""
        question = self._questions.get(message.subject[len(self._inbox) :])
        if question is not None:
            question.receive(message)

    async def exchange(
        self, send: Callable[[str], Awaitable[None]], subject: str, timeout_s: float, take: Take | None = None
    ) -> Message:
        """Send with a reply subject; the reply. With `take`, each reply is given to it until it says that this was the
        last, which is returned.

        Raises:
            EventStoreUnavailableError: the last reply did not come in time.
            NobodyListensError: nobody listens on the subject.
        """
        loop = asyncio.get_running_loop()
        token = str(next(self._tokens))
        question = _Question(loop.create_future(), take, subject, loop.time() + timeout_s)
        self._questions[token] = question
        if self._timer is None:
            self._timer = loop.call_later(_TICK_S, self._tick, loop)
        try:
            await send(self._inbox + token)
            return await question.answer
        except BaseException:
            if question.answer.done() and not question.answer.cancelled():
                question.answer.exception()  # it may have failed before anybody waited for it
            raise
        finally:
            del self._questions[token]

    async def wait(self, future: asyncio.Future[None]) -> None:
        """Wait for a future, or for the connection to break."""
        self._waiting.add(future)
        try:
            await future
        finally:
            self._waiting.discard(future)

    def fail_all(self, error: Callable[[str], Exception]) -> None:
        """Let everybody who waits know that nothing more will come."""
        for question in self._questions.values():
            if not question.answer.done():
                question.answer.set_exception(error("the connection to NATS was lost"))
        for waiter in list(self._waiting):
            if not waiter.done():
                waiter.set_exception(error("the connection to NATS was lost"))

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for question in self._questions.values():
            if question.give_up_at <= now:
                question.fail(f"no answer on {question.subject} in time")
        self._timer = loop.call_later(_TICK_S, self._tick, loop) if self._questions else None
