"""The scheduler's process."""

import sys

from vulcan_chassis.service import run
from vulcan_scheduler.settings import SchedulerSettings
from vulcan_scheduler.wiring import wire


def main() -> None:
    """Run until a signal."""
    sys.exit(run("scheduler", SchedulerSettings, wire))
