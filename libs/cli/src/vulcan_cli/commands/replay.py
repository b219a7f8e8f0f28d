"""`vulcan replay`."""

from typing import Annotated

from cyclopts import Parameter

from vulcan_cli.common import COMMON, Common, connect
from vulcan_cli.running import leave, stay


def replay(
    workload: str,
    /,
    *,
    detach: Annotated[bool, Parameter(alias="-d")] = False,
    idempotency_key: str | None = None,
    common: Common = COMMON,
) -> int:
    """Run a workload's spec again, as a new workload, and print what it prints.

    Args:
        workload: The id of the workload to repeat.
        detach: Print the new id and return.
        idempotency_key: A name for this submit: the same name again is the same workload.
        common: Options of every command.
    """
    with connect(common) as vulcan:
        view = vulcan.replay(workload, idempotency_key=idempotency_key)
        return leave(view, common) if detach else stay(vulcan, view, common)
