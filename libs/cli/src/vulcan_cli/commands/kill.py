"""`vulcan kill` and `vulcan rm`."""

from vulcan_cli import exits
from vulcan_cli.common import COMMON, Common, connect
from vulcan_cli.errors import UsageError, report
from vulcan_cli.output import print_json, write_line
from vulcan_sdk.errors import VulcanError


def kill(*workloads: str, common: Common = COMMON) -> int:
    """Kill workloads: SIGTERM, and SIGKILL after their grace. Repeating it is harmless.

    Args:
        workloads: Their ids.
        common: Options of every command.
    """
    return _each(workloads, "kill", common)


def rm(*workloads: str, common: Common = COMMON) -> int:
    """Kill workloads if needed, and hide them from lists. Their history stays.

    Args:
        workloads: Their ids.
        common: Options of every command.
    """
    return _each(workloads, "rm", common)


def _each(workloads: tuple[str, ...], what: str, common: Common) -> int:
    """Do it to each; one that fails does not keep the others from it."""
    if not workloads:
        raise UsageError(f"vulcan {what} needs the id of a workload", hint="See `vulcan ls`.")
    code = exits.OK
    with connect(common) as vulcan:
        for workload in workloads:
            try:
                if what == "kill":
                    view = vulcan.kill(workload)
                    if common.json:
                        print_json(view)
                else:
                    vulcan.delete(workload)
                    if common.json:
                        print_json({"id": workload, "deleted": True})
            except VulcanError as error:
                report(error, as_json=common.json)
                code = exits.FAILURE
            else:
                if not common.json:
                    write_line(workload)
    return code
