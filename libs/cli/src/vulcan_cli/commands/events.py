"""`vulcan events`."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated

import msgspec
from cyclopts import Parameter

from vulcan_cli.common import COMMON, Common, connect
from vulcan_cli.output import write_line
from vulcan_cli.text import plain
from vulcan_contracts.views import EventView

if TYPE_CHECKING:
    from vulcan_sdk.client import Vulcan


def events(
    workload: str | None = None,
    /,
    *,
    follow: Annotated[bool, Parameter(alias="-f")] = False,
    after: int | None = None,
    type: Annotated[list[str] | None, Parameter(name="--type")] = None,  # noqa: A002 - the option's own name
    common: Common = COMMON,
) -> None:
    """Show what happened to a workload; without an id, what happens to all of the tenant's, as it happens.

    Args:
        workload: Its id.
        follow: Stay until it has ended.
        after: Only events after this place in the log (the first column).
        type: Only events of this type, as in started. May be repeated.
        common: Options of every command.
    """
    with connect(common) as vulcan:
        found: Iterable[EventView]
        if workload is None:
            found = vulcan.follow_all_events(after=after, types=type or ())
        elif follow:
            found = vulcan.follow_events(workload, after=after)
        else:
            found = _history(vulcan, workload, after)
        for event in found:
            if not type or event.type in type:
                write_line(msgspec.json.encode(event).decode() if common.json else _line(event, named=workload is None))


def _history(vulcan: "Vulcan", workload: str, after: int | None) -> Iterator[EventView]:
    more = True
    while more:
        page = vulcan.events(workload, after=after)
        yield from page.items
        more = page.has_more and page.next_cursor is not None
        after = int(page.next_cursor or 0)


def _line(event: EventView, *, named: bool) -> str:
    whose = f"  {event.workload_id}" if named else ""
    time = f"{event.time:%Y-%m-%d %H:%M:%S.}{event.time.microsecond // 1000:03d}"
    return f"{event.seq:>8}  {time}{whose}  {event.type:<14}  {plain(_gist(event)):<24}  {plain(event.actor)}".rstrip()


def _gist(event: EventView) -> str:
    """What matters most of an event, in a few words."""
    data = event.data if isinstance(event.data, dict) else {}
    outcome = data.get("outcome")
    if isinstance(outcome, dict):
        reason = outcome.get("reason") or f"exit {outcome.get('exit_code', 0)}"
        return f"{reason}: {outcome['message']}" if outcome.get("message") else str(reason)
    if "node" in data:
        return f"{data.get('isolation', '')} on {data['node']}".strip()
    return ""
