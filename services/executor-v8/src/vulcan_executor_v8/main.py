"""The V8 executor service: reads its settings and runs."""

import sys

from vulcan_chassis.service import run
from vulcan_executor_v8.wiring import ExecutorV8Settings, wire


def main() -> None:
    """Run until a signal or a crash."""
    sys.exit(run("executor-v8", ExecutorV8Settings, wire))
