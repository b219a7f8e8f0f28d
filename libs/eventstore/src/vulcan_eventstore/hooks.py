"""Callbacks that come and go, and that cannot hurt whoever calls them."""

import logging
from collections.abc import Callable

_log = logging.getLogger(__name__)


class Hooks:
    """Callbacks to be called together, in the order they came."""

    def __init__(self) -> None:
        self._callbacks: dict[object, Callable[[], None]] = {}

    def add(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Add one.

        Returns:
            what removes it again.
        """
        key = object()
        self._callbacks[key] = callback

        def remove() -> None:
            self._callbacks.pop(key, None)

        return remove

    def run(self) -> None:
        """Call all of them, also if one fails."""
        for callback in list(self._callbacks.values()):
            try:
                callback()
            except Exception:  # noqa: BLE001 - nats-py would end its reconnecting over it
                _log.exception("a callback of the connection failed")
