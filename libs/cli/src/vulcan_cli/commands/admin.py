"""`vulcan admin`."""

import time
from typing import Final

from vulcan_cli import exits
from vulcan_cli.common import COMMON, Common, connect, group
from vulcan_cli.output import print_json, write_line

POLL_INTERVAL_S: Final = 0.5

app: Final = group("admin", "Upkeep.")


@app.command
def rebuild(*, wait: bool = False, common: Common = COMMON) -> int:
    """Build the projections (lists, stats, log search) again from the event log, which holds all that they hold.

    Reads go on from the old content until the new one is complete.

    Args:
        wait: Stay until it is done, and exit with 1 if it failed.
        common: Options of every command.
    """
    with connect(common) as vulcan:
        status = vulcan.rebuild()
        while wait and status.state in ("waiting", "running"):
            time.sleep(POLL_INTERVAL_S)
            status = vulcan.rebuild_status(status.id)
    if common.json:
        print_json(status)
    else:
        write_line(f"rebuild {status.id} is {status.state}" + (f": {status.message}" if status.message else ""))
    return exits.CHECKS_FAILED if status.state == "failed" else exits.OK
