"""`python -m vulcan_logstore`."""

from vulcan_logstore.main import main

main()
