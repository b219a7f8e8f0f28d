"""The two clocks that decisions are made by, read once per step by whoever asks."""

from typing import NamedTuple


class Now(NamedTuple):
    """One reading of both clocks, in seconds.

    mono: the monotonic clock, for what this process saw itself (heartbeats, dispatches). wall: Unix time, for what
    the log says (submitted at, not before).
    """

    mono: float
    wall: float
