"""`python -m vulcan_executor_v8`."""

from vulcan_executor_v8.main import main

main()
