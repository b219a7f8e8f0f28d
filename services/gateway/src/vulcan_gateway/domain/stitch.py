"""Where a reader of log lines stands, and what of history and of the live feed is next for it.

Lines are numbered without gaps, so a gap, a repeat or a reorder in what is heard live is decidable here. History is
the authority: what it has no more (expired), it may step over.
"""

from collections.abc import Sequence

from vulcan_contracts.logs import LogLine


class LineCursor:
    """`position` is the last line that the reader has."""

    def __init__(self, position: int = 0) -> None:
        self.position = position

    def live(self, lines: Sequence[LogLine]) -> Sequence[LogLine] | None:
        """What is new in a batch of consecutive lines heard live; None if lines are missing before it.

        After None the reader is to read history: this batch is in it.
        """
        if not lines or lines[-1].seq <= self.position:
            return ()
        if lines[0].seq > self.position + 1:
            return None
        new = lines[self.position + 1 - lines[0].seq :]
        self.position = lines[-1].seq
        return new

    def history(self, lines: Sequence[LogLine]) -> Sequence[LogLine]:
        """What is new in a page of history, which is in order."""
        if not lines or lines[-1].seq <= self.position:
            return ()
        new = lines if lines[0].seq > self.position else [line for line in lines if line.seq > self.position]
        self.position = lines[-1].seq
        return new
