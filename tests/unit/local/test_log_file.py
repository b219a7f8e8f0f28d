"""A service's log file is bounded, and outlives a disk without room: lines are lost then, never the supervisor."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vulcan_local.logfile import LogFile


@contextmanager
def no_file_grows_beyond(size: int) -> Iterator[None]:
    """The kernel refuses what is too much, and writes what still fits, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_it_is_bounded_and_keeps_the_newest(tmp_path: Path) -> None:
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


def test_without_room_lines_are_counted_and_the_file_says_so_as_soon_as_there_is_room(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "x.log", 10_000)
    file.write("before")
    with no_file_grows_beyond(10):
        for number in range(3):
            file.write(f"line {number}")
        assert file.lost_lines == 3
        assert file.tail[-1] == "line 2"
    file.write("after")
    file.write("and on")
    file.close()
    assert (tmp_path / "x.log").read_text() == "before\nlin\n(3 lines could not be written)\nafter\nand on\n"


def test_a_new_file_that_cannot_be_made_is_made_later(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    file = LogFile(folder / "x.log", 20)
    file.write("0123456789")
    folder.rename(tmp_path / "away")
    file.write("lost 1 because of it")
    file.write("lost 2 because of it")
    assert file.lost_lines == 2
    (tmp_path / "away").rename(folder)
    file.write("after")
    file.close()
    assert (folder / "x.log").read_text() == "(2 lines could not be written)\nafter\n"
    assert (folder / "x.log.1").read_text() == "0123456789\n"
