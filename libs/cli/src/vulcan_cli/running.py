"""After a submit: leaving the workload to run, or staying for its output and its end as this command's exit code."""

import sys
from typing import TYPE_CHECKING

from vulcan_cli import exits
from vulcan_cli.common import Common
from vulcan_cli.errors import Terminated
from vulcan_cli.lines import LinePrinter
from vulcan_cli.output import note, print_json, write_line
from vulcan_cli.text import millis
from vulcan_contracts.reasons import Reason
from vulcan_contracts.views import WorkloadView

if TYPE_CHECKING:
    from vulcan_sdk.client import Vulcan

KILL_WAIT_S = 15.0


def leave(submitted: WorkloadView, common: Common) -> int:
    """Print which workload it is, and let it run."""
    if common.json:
        print_json(submitted)
    else:
        write_line(submitted.id)
    return exits.OK


def stay(vulcan: "Vulcan", submitted: WorkloadView, common: Common) -> int:
    """Print what the workload prints until it ends. Ctrl-C, SIGTERM and a reader that went away kill it."""
    chatty = common.verbose or sys.stderr.isatty()
    printer = LinePrinter(system=chatty)
    if common.verbose:
        note(f"{submitted.id} submitted")
    try:
        if common.json:
            view = vulcan.wait(submitted.id)
            print_json(view)
            return code_of(view)
        for line in vulcan.follow_logs(submitted.id):
            printer.show(line)
        view = vulcan.get(submitted.id)
        printer.end_line()
        _show_end(view, common)
    except BrokenPipeError:
        vulcan.kill(submitted.id)
        raise
    except KeyboardInterrupt as interrupt:
        return _kill(vulcan, submitted.id, interrupt)
    return code_of(view)


def _show_end(view: WorkloadView, common: Common) -> None:
    if view.result is not None:
        import msgspec

        write_line(msgspec.json.encode(view.result).decode())
    if view.reason not in (None, Reason.EXIT_NONZERO):
        note(f"vulcan: {view.id} {view.state}: {view.reason}" + (f": {view.message}" if view.message else ""))
    if common.verbose:
        where = f"{view.backend or '-'} on {view.node or '-'}"
        note(f"{view.id} {view.state} in {millis(view.timings.total_ms)} ({where}, run {millis(view.timings.run_ms)})")


def _kill(vulcan: "Vulcan", workload_id: str, interrupt: KeyboardInterrupt) -> int:
    try:
        note(f"vulcan: killing {workload_id}; Ctrl-C again leaves at once")
        vulcan.kill(workload_id)
        vulcan.wait(workload_id, timeout_s=KILL_WAIT_S)
    except KeyboardInterrupt:
        note(f"vulcan: left; see `vulcan status {workload_id}`")
    return exits.TERMINATED if isinstance(interrupt, Terminated) else exits.INTERRUPTED


def code_of(view: WorkloadView) -> int:
    """The exit code that stands for how it ended."""
    return exits.of_workload(view.exit_code, view.reason, view.signal)
