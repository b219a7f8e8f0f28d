"""Records in one turn of the loop are one write; nothing is lost or out of order for it."""

import asyncio
import io
import logging

from vulcan_chassis.log_stream import LogStream


class _Out(io.StringIO):
    def __init__(self) -> None:
        super().__init__()
        self.writes: list[str] = []

    def write(self, text: str) -> int:
        self.writes.append(text)
        return len(text)


def test_records_of_one_turn_are_one_write() -> None:
    out = _Out()
    stream = LogStream(out)

    async def work() -> None:
        stream.info("a")
        stream.debug("b")
        assert out.writes == []
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        stream.info("c")

    asyncio.run(work())
    stream.flush()
    assert out.writes == ["a\nb\n", "c\n"]


def test_what_is_urgent_goes_at_once_and_behind_what_came_before() -> None:
    out = _Out()
    stream = LogStream(out)
    handler = logging.StreamHandler(stream)

    async def work() -> None:
        stream.info("a")
        stream.warning("b")
        assert out.writes == ["a\nb\n"]
        stream.info("c")
        handler.emit(logging.makeLogRecord({"msg": "d"}))
        assert out.writes == ["a\nb\n", "c\nd\n"]

    asyncio.run(work())
    assert len(out.writes) == 2


def test_without_a_loop_nothing_waits() -> None:
    out = _Out()
    LogStream(out).info("a")
    assert out.writes == ["a\n"]
