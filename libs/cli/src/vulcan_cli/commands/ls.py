"""`vulcan ls`."""

import itertools
from typing import Annotated, Final

from cyclopts import Parameter

from vulcan_cli.common import COMMON, Common, connect
from vulcan_cli.errors import UsageError
from vulcan_cli.output import note, print_json, table, write_line
from vulcan_cli.text import ago, moment, pairs
from vulcan_contracts.reasons import Reason
from vulcan_contracts.spec import Backend, Isolation, Runtime
from vulcan_contracts.views import WorkloadSummary
from vulcan_contracts.workload import State
from vulcan_sdk.filters import WorkloadFilter

PAGE: Final = 500


def ls(
    *,
    state: State | None = None,
    reason: Annotated[str | None, Parameter(choices=tuple(map(str, Reason)), show_choices=False)] = None,
    isolation: Isolation | None = None,
    backend: Backend | None = None,
    runtime: Runtime | None = None,
    label: Annotated[list[str] | None, Parameter(metavar="K=V")] = None,
    text: str | None = None,
    since: Annotated[str | None, Parameter(metavar="TIME")] = None,
    until: Annotated[str | None, Parameter(metavar="TIME")] = None,
    limit: Annotated[int, Parameter(alias="-n")] = 20,
    quiet: Annotated[bool, Parameter(alias="-q")] = False,
    common: Common = COMMON,
) -> None:
    """List workloads, newest first.

    Args:
        state: Only those in this state.
        reason: Only those that ended for this reason.
        isolation: Only those that asked for this isolation.
        backend: Only those that ran on this one.
        runtime: Only those in this language.
        label: Only those with this label. May be repeated: all of them.
        text: Only those with this text in id, labels or message.
        since: Only those submitted since this time, or this long ago, as in 2026-01-31T12:00Z or 10m.
        until: Only those submitted until then.
        limit: At most so many (default 20).
        quiet: Print the ids only.
        common: Options of every command.
    """
    if limit < 1:
        raise UsageError(f"--limit {limit} is not a number from 1 on")
    where = WorkloadFilter(
        state=state,
        reason=Reason(reason) if reason else None,
        isolation=isolation,
        backend=backend,
        runtime=runtime,
        labels=pairs(label or [], "--label"),
        text=text,
        submitted_after=moment(since, "--since") if since else None,
        submitted_before=moment(until, "--until") if until else None,
    )
    with connect(common) as vulcan:
        found = vulcan.iter_workloads(where, page=min(limit + 1, PAGE))
        items = list(itertools.islice(found, limit + 1))
    shown, more = items[:limit], len(items) > limit
    if common.json:
        print_json({"items": shown, "has_more": more})
    elif quiet:
        for item in shown:
            write_line(item.id)
    else:
        _show(shown, more=more)


def _show(shown: list[WorkloadSummary], *, more: bool) -> None:
    if not shown:
        note("no workloads")
        return
    table(
        ("ID", "STATE", "REASON", "EXIT", "ISOLATION", "RUNTIME", "AGE", "LABELS"),
        [
            (
                item.id,
                item.state,
                item.reason,
                item.exit_code,
                item.backend or item.isolation,
                item.runtime or item.source_type,
                ago(item.submitted_at),
                ",".join(f"{name}={value}" for name, value in item.labels.items()),
            )
            for item in shown
        ],
    )
    if more:
        note("there are more: use --limit")
