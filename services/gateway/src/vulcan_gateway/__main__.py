"""`python -m vulcan_gateway`."""

from vulcan_gateway.main import main

main()
