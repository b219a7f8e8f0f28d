"""Replies find the one who waits, and nobody waits in vain."""

import asyncio

import pytest

from vulcan_eventstore.errors import BusClosedError, EventStoreUnavailableError
from vulcan_eventstore.hooks import Hooks
from vulcan_eventstore.message import Message
from vulcan_eventstore.replies import Replies


def _message(subject: str, data: bytes = b"", headers: bytes | None = None) -> Message:
    return Message(subject.encode(), b"", data, headers)


async def _nothing(_inbox: str) -> None:
    return


async def test_each_reply_goes_to_its_own_question() -> None:
    replies = Replies("_INBOX.x.")
    inboxes: list[str] = []
    answers: dict[str, list[bytes]] = {"a": [], "b": []}

    async def ask(name: str, wanted: int) -> None:
        def take(message: Message) -> bool:
            answers[name].append(message.data)
            return len(answers[name]) == wanted

        async def send(inbox: str) -> None:
            inboxes.append(inbox)

        await replies.exchange(send, name, 5.0, take)

    async with asyncio.TaskGroup() as group:
        group.create_task(ask("a", 2))
        group.create_task(ask("b", 1))
        await asyncio.sleep(0)
        for data in (b"1", b"2", b"too many"):
            replies.dispatch(_message(inboxes[0], data))
        replies.dispatch(_message(inboxes[1], b"3"))
    assert answers == {"a": [b"1", b"2"], "b": [b"3"]}
    replies.dispatch(_message(inboxes[0], b"late"))


async def test_nobody_there_no_answer_and_a_broken_connection() -> None:
    replies = Replies("_INBOX.x.")

    async def nobody(inbox: str) -> None:
        replies.dispatch(_message(inbox, headers=b"NATS/1.0 503\r\n\r\n"))

    with pytest.raises(EventStoreUnavailableError, match="nobody answers on q"):
        await replies.exchange(nobody, "q", 5.0)
    with pytest.raises(EventStoreUnavailableError, match="no answer on q"):
        await replies.exchange(_nothing, "q", 0.01)
    asking = asyncio.create_task(replies.exchange(_nothing, "q", 60.0))
    await asyncio.sleep(0)
    replies.fail_all(BusClosedError)
    with pytest.raises(BusClosedError):
        await asking


async def test_what_taking_a_reply_raises_is_raised_to_the_one_who_asked() -> None:
    replies = Replies("_INBOX.x.")

    def refuse(_message: Message) -> bool:
        raise ValueError("not like this")

    async def answer(inbox: str) -> None:
        replies.dispatch(_message(inbox, b"x"))

    with pytest.raises(ValueError, match="not like this"):
        await replies.exchange(answer, "q", 5.0, refuse)


def test_hooks_run_in_order_whatever_one_does(caplog: pytest.LogCaptureFixture) -> None:
    hooks, told = Hooks(), list[str]()

    def fail() -> None:
        raise ValueError("no")

    hooks.add(lambda: told.append("first"))
    hooks.add(fail)
    remove = hooks.add(lambda: told.append("removed"))
    hooks.add(lambda: told.append("last"))
    remove()
    remove()
    hooks.run()
    assert told == ["first", "last"]
    assert "a callback of the connection failed" in caplog.text
