"""`vulcan logs`."""

import sys
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter

from vulcan_cli.common import COMMON, Common, connect
from vulcan_cli.errors import UsageError
from vulcan_cli.lines import LinePrinter
from vulcan_cli.text import moment
from vulcan_contracts.logs import LogLine, Stream
from vulcan_sdk.filters import ALL_LINES, LineFilter

if TYPE_CHECKING:
    from vulcan_sdk.client import Vulcan

MAX_TAIL: Final = 100_000


def logs(
    workload: str,
    /,
    *,
    follow: Annotated[bool, Parameter(alias="-f")] = False,
    since: str | None = None,
    tail: Annotated[int | None, Parameter(alias="-n")] = None,
    grep: str | None = None,
    stream: Stream | None = None,
    timestamps: Annotated[bool, Parameter(alias="-t")] = False,
    common: Common = COMMON,
) -> None:
    """Print what a workload printed: its stdout on stdout, its stderr on stderr. With --json, a JSON document per line.

    Args:
        workload: Its id.
        follow: Stay until it has ended.
        since: Only lines since this time, or this long ago, as in 2026-01-31T12:00Z or 10m.
        tail: Only the last so many of the lines that there are now.
        grep: Only lines that contain this text.
        stream: Only this stream; `system` is what the platform itself says.
        timestamps: Put the time before each line.
        common: Options of every command.
    """
    if tail is not None and not 0 <= tail <= MAX_TAIL:
        raise UsageError(f"--tail {tail} is not from 0 to {MAX_TAIL}")
    where = LineFilter(stream=stream, search=grep, since=moment(since, "--since") if since else None)
    system = stream == "system" or common.verbose or sys.stderr.isatty()
    printer = LinePrinter(system=system, timestamps=timestamps, as_json=common.json)
    with connect(common) as vulcan:
        for line in _lines(vulcan, workload, where, follow=follow, tail=tail):
            printer.show(line)
    printer.end_line()


def _lines(vulcan: "Vulcan", workload: str, where: LineFilter, *, follow: bool, tail: int | None) -> Iterator[LogLine]:
    if tail is not None and where != ALL_LINES:
        # The server counts the last lines of all; of those that match, only reading them can tell.
        last = deque(vulcan.iter_logs(workload, where), maxlen=max(1, tail))
        yield from last if tail else ()
        if follow:
            yield from vulcan.follow_logs(workload, where, after=last[-1].seq if last else 0)
    elif follow:
        yield from vulcan.follow_logs(workload, where, tail=tail)
    else:
        yield from vulcan.iter_logs(workload, where, tail=tail)
