"""`vulcan doctor`."""

import sys

from vulcan_cli import exits
from vulcan_cli.checks import Check, local_checks, server_checks
from vulcan_cli.common import COMMON, Common
from vulcan_cli.output import paint, print_json, write_line
from vulcan_cli.text import plain


def doctor(*, common: Common = COMMON) -> int:
    """Check that everything is in place, and say what to do where it is not. Exits with 1 if something has failed.

    Args:
        common: Options of every command.
    """
    checks: list[Check] = []
    for check in (*server_checks(common), *local_checks()):
        checks.append(check)
        if not common.json:
            _show(check)
    failed = any(check.result == "FAILED" for check in checks)
    if common.json:
        print_json({"ok": not failed, "checks": checks})
    return exits.CHECKS_FAILED if failed else exits.OK


def _show(check: Check) -> None:
    colour = {"ok": "32", "warning": "33", "FAILED": "31"}[check.result]
    write_line(f"{paint(check.result.ljust(7), colour, sys.stdout)}  {check.name}: {plain(check.detail)}")
    if check.hint:
        write_line(f"         {plain(check.hint)}")
