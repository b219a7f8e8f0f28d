"""`vulcan admin`."""

from typing import Final

from cyclopts import App, Parameter

from vulcan_cli.common import COMMON, Common, connect
from vulcan_cli.output import facts, print_json

app: Final = App(name="admin", help="Upkeep.", default_parameter=Parameter(negative=(), show_default=False))


@app.command
def rebuild(*, common: Common = COMMON) -> None:
    """Drop the projections (lists, stats, log search) and build them again from the event log. Nothing is lost.

    Args:
        common: Options of every command.
    """
    with connect(common, timeout_s=600.0) as vulcan:
        answer = vulcan.rebuild()
    if common.json:
        print_json(answer)
    else:
        facts(answer.items() if answer else [("rebuild", "started")])
