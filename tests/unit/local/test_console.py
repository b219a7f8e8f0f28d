"""The console never makes its caller wait, and survives a terminal that is gone."""

import errno
import io
import threading

from vulcan_local.console import Console


class Closed(io.StringIO):
    def write(self, _text: str) -> int:
        raise BrokenPipeError


class Stuck(io.StringIO):
    """A terminal that takes nothing until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = threading.Event()
        self.entered = threading.Event()

    def write(self, text: str) -> int:
        self.entered.set()
        self.let_go.wait()
        return super().write(text)


class Full(io.StringIO):
    """A file whose disk has no room until somebody makes some."""

    def __init__(self) -> None:
        super().__init__()
        self.room = False
        self.refused = threading.Event()

    def write(self, text: str) -> int:
        if not self.room:
            self.refused.set()
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(text)


def test_lines_come_out_in_order_under_their_names() -> None:
    stream = io.StringIO()
    console = Console(stream)
    console.service("gateway", "one")
    console.say("two")
    console.service("scheduler", "three")
    console.close()
    assert stream.getvalue() == "gateway     | one\ntwo\nscheduler   | three\n"


def test_a_reader_that_is_gone_does_no_harm() -> None:
    console = Console(Closed())
    for number in range(30_000):
        console.say(str(number))
    console.close()


def test_a_terminal_that_stands_still_holds_up_nobody_and_is_told_what_it_missed() -> None:
    stream = Stuck()
    console = Console(stream)
    console.say("first")
    stream.entered.wait()
    for number in range(25_000):
        console.say(str(number))
    stream.let_go.set()
    console.close()
    shown = stream.getvalue().splitlines()
    assert shown[:3] == ["first", "[5000 lines not shown: the terminal was too slow]", "0"]
    assert len(shown) == 20_002


def test_a_file_on_a_full_disk_is_written_on_once_it_has_room() -> None:
    stream = Full()
    console = Console(stream)
    console.say("lost")
    stream.refused.wait()
    stream.room = True
    console.say("after")
    console.say("and on")
    console.close()
    assert stream.getvalue() == "[lines may be missing here: there was no room for them]\nafter\nand on\n"
