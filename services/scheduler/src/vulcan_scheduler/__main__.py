"""`python -m vulcan_scheduler`."""

from vulcan_scheduler.main import main

main()
