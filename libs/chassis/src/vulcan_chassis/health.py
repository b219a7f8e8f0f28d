"""Whether a service can do its work now: named checks, asked by `/readyz`.

A check reads what its owner keeps current, such as `bus.connected`; it never waits and never asks a server, so that
a probe costs nothing and a slow dependency cannot make it hang.
"""

from collections.abc import Callable

Check = Callable[[], str | None]
"""Returns None if all is well, else what is wrong, in words."""


class Health:
    """The checks of one service. All must pass for it to be ready; none is asked for it to be alive."""

    def __init__(self) -> None:
        self._checks: dict[str, Check] = {}

    def add(self, name: str, check: Check) -> None:
        """Add a check, or replace the one of that name."""
        self._checks[name] = check

    def remove(self, name: str) -> None:
        """Take a check away; harmless if there is none of that name."""
        self._checks.pop(name, None)

    def failures(self) -> dict[str, str]:
        """What is wrong, by the name of the check; empty if the service is ready."""
        found = {name: check() for name, check in self._checks.items()}
        return {name: wrong for name, wrong in found.items() if wrong is not None}

    def report(self) -> dict[str, str]:
        """Every check with `ok` or what is wrong."""
        return {name: check() or "ok" for name, check in self._checks.items()}
