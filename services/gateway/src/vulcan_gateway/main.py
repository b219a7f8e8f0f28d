"""`python -m vulcan_gateway`."""

import sys
from typing import NoReturn

from vulcan_chassis.service import run
from vulcan_gateway.settings import GatewaySettings
from vulcan_gateway.wiring import wire


def main() -> NoReturn:
    """Run until a signal."""
    sys.exit(run("gateway", GatewaySettings, wire, ops_server=False))
