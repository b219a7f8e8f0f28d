"""`vulcan admin`."""

from typing import Final

from cyclopts import App, Parameter

from vulcan_cli.common import COMMON, Common, connect
from vulcan_cli.output import print_json, write_line

app: Final = App(name="admin", help="Upkeep.", default_parameter=Parameter(negative=(), show_default=False))


@app.command
def rebuild(*, common: Common = COMMON) -> None:
    """Build the projections (lists, stats, log search) again from the event log, which holds all that they hold.

    Args:
        common: Options of every command.
    """
    with connect(common) as vulcan:
        answer = vulcan.rebuild()
    if common.json:
        print_json(answer)
    else:
        write_line(f"rebuild {answer.id} is {answer.state}; reads go on from the old content until it is done")
