"""What Vulcan's parts agree on: events, commands, the workload state machine, specs and wire models.

Pure: msgspec and the standard library only, no I/O; time and randomness only in `clock`, `ids` and `tenants`.
"""
