"""`vulcan stats`."""

from typing import Annotated

from cyclopts import Parameter

from vulcan_cli.common import COMMON, Common, connect
from vulcan_cli.output import print_json, table, write_line
from vulcan_cli.text import duration_s, millis


def stats(*, window: Annotated[str | None, Parameter(metavar="TIME")] = None, common: Common = COMMON) -> None:
    """Show counts and timings of each backend.

    Args:
        window: Only the last so long, as in 1h; without it, what the server takes as its default.
        common: Options of every command.
    """
    window_s = duration_s(window, "--window") if window else None
    with connect(common) as vulcan:
        found = vulcan.stats(window_s=window_s)
    if common.json:
        print_json(found)
        return
    table(
        (
            "BACKEND",
            "PENDING",
            "RUNNING",
            "COMPLETED",
            "FAILED",
            "KILLED",
            "TOTAL P50",
            "P95",
            "P99",
            "RUN P50",
            "READY P50",
        ),
        [
            (
                row.backend or "(none yet)",
                row.pending,
                row.running,
                row.completed,
                row.failed,
                row.killed,
                millis(row.total_ms.p50),
                millis(row.total_ms.p95),
                millis(row.total_ms.p99),
                millis(row.run_ms.p50),
                millis(row.sandbox_ready_ms.p50),
            )
            for row in found.backends
        ],
    )
    when = "ever" if found.window_s is None else f"in the last {millis(found.window_s * 1000)}"
    write_line(f"\n{found.waiting} waiting, {found.running} running now; counts are of those submitted {when}")
    for row in found.backends:
        if row.reasons:
            why = ", ".join(f"{reason} {count}" for reason, count in sorted(row.reasons.items()))
            write_line(f"{row.backend or '(none yet)'} ended with: {why}")
