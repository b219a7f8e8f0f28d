"""The console never makes its caller wait, and survives a terminal that is gone."""

import io
import threading
from pathlib import Path

from vulcan_local.console import Console
from vulcan_local.logfile import LogFile


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


def test_a_log_file_is_bounded_and_keeps_the_newest(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "x.log", 1000)
    for number in range(1000):
        file.write(f"line {number}")
    file.close()
    new, old = (tmp_path / "x.log").read_text(), (tmp_path / "x.log.1").read_text()
    assert len(new) <= 1000
    assert len(old) <= 1000
    assert (old + new).splitlines()[-1] == "line 999"
    assert file.tail == [f"line {number}" for number in range(985, 1000)]
    again = LogFile(tmp_path / "x.log", 1000)
    again.write("after a restart")
    again.close()
    assert (tmp_path / "x.log").read_text().endswith("line 999\nafter a restart\n")
