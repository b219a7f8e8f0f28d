"""Bounds on what may be open at once: in all, and by one key, so that one caller cannot take all of it."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from vulcan_gateway.domain.refusals import Refusal


class Slots:
    """Counted places."""

    def __init__(self, what: str, *, per_key: int, total: int) -> None:
        self._what = what
        self._per_key = per_key
        self._total = total
        self._taken: Counter[str] = Counter()
        self.taken = 0

    def take(self, key_id: str) -> None:
        """Take a place; give it back with `free`.

        Raises:
            Refusal: `too_many_requests`.
        """
        if self._taken[key_id] >= self._per_key or self.taken >= self._total:
            raise Refusal(
                "too_many_requests",
                f"Too many {self._what} are open at once.",
                hint=f"Close some; a key may have {self._per_key}.",
                retry_after_s=1,
            )
        self._taken[key_id] += 1
        self.taken += 1

    def free(self, key_id: str) -> None:
        """Give a place back."""
        self._taken[key_id] -= 1
        self.taken -= 1
        if self._taken[key_id] <= 0:
            del self._taken[key_id]

    @contextmanager
    def held(self, key_id: str) -> Iterator[None]:
        """A place for the time of a block.

        Raises:
            Refusal: `too_many_requests`.
        """
        self.take(key_id)
        try:
            yield
        finally:
            self.free(key_id)
