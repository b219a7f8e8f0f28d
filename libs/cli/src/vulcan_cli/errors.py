"""Errors of the command itself, and how any expected error is shown."""

import sys

import msgspec

from vulcan_sdk.errors import VulcanError


class CliError(VulcanError):
    """Something on this side of the connection is not as it must be."""

    code = "cli_error"


class UsageError(VulcanError):
    """The command line asks for something that does not exist or does not go together."""

    code = "usage"


class Terminated(KeyboardInterrupt):
    """SIGTERM came: end as after Ctrl-C."""


def report(error: VulcanError, *, as_json: bool) -> None:
    """Show an error on stderr: words for people, the problem document for programs."""
    if as_json:
        sys.stderr.write(msgspec.json.encode(error.problem).decode() + "\n")
    else:
        first, *rest = str(error).split("\n")
        sys.stderr.write("\n".join([f"vulcan: {first}", *(f"  {line.strip()}" for line in rest)]) + "\n")
