"""Starts the logstore."""

import sys

from vulcan_chassis.service import run
from vulcan_logstore.settings import LogstoreSettings
from vulcan_logstore.wiring import wire


def main() -> None:
    """Run until a signal; the exit code is the process's."""
    sys.exit(run("logstore", LogstoreSettings, wire))
