"""What stops a service from starting."""


class StartError(Exception):
    """The service cannot start, for a reason that its message says in full: logged without a traceback."""
