"""What is heard live, with its bytes on the wire, which are made once however many read it."""

from collections.abc import Sequence
from functools import cached_property
from typing import Final

from vulcan_chassis import direct_body
from vulcan_contracts.events import Recorded
from vulcan_contracts.logs import LogLine
from vulcan_contracts.views import EventView, LogsDone
from vulcan_gateway.domain import sse
from vulcan_gateway.domain.views import end_told_by, event_view

LINE_EVENT: Final = "line"
_OVERHEAD_BYTES: Final = 200
"""About what a line or an event takes in memory beside its text."""


def line_frames(lines: Sequence[LogLine]) -> bytes:
    """Log lines as server-sent events."""
    return b"".join([sse.frame(LINE_EVENT, line, line.seq) for line in lines])


def event_frame(view: EventView) -> bytes:
    """An event as a server-sent event, named by its type, numbered by its place in the log."""
    return sse.frame(view.type, view, view.seq)


def done_frame(done: LogsDone) -> bytes:
    """How a workload ended, as a server-sent event."""
    return sse.frame("done", done)


class LiveLines:
    """Consecutive lines of one workload, at least one."""

    def __init__(self, lines: list[LogLine]) -> None:
        self.lines = lines
        self.first = lines[0].seq
        self.last = lines[-1].seq
        self.size_bytes = sum(len(line.text) + _OVERHEAD_BYTES for line in lines)

    @cached_property
    def frames(self) -> bytes:
        """All lines as server-sent events."""
        return line_frames(self.lines)

    @cached_property
    def chunk(self) -> bytes:
        """The same as a chunk of an answer's body."""
        return direct_body.chunk(self.frames)


class LiveEvent:
    """An event."""

    def __init__(self, recorded: Recorded) -> None:
        self.recorded = recorded
        self.size_bytes = memoryview(recorded.envelope.data).nbytes + _OVERHEAD_BYTES

    @cached_property
    def view(self) -> EventView:
        """The event as the API shows it."""
        return event_view(self.recorded)

    @cached_property
    def frame(self) -> bytes:
        """The event as a server-sent event."""
        return event_frame(self.view)

    @cached_property
    def end(self) -> LogsDone | None:
        """How the workload ended, if this is its end."""
        return end_told_by(self.recorded)

    @cached_property
    def end_frame(self) -> bytes:
        """The end of a log as a server-sent event, if this is one."""
        return done_frame(self.end) if self.end is not None else b""


Heard = LiveLines | LiveEvent
