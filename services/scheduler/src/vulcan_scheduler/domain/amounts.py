"""Quantities of what a node has and a run takes. Whole numbers, so that adding and taking away ends at exactly zero."""

import math
from typing import NamedTuple

from vulcan_contracts.nodes import Capacity
from vulcan_contracts.spec import Resources


class Amount(NamedTuple):
    """Thousandths of a core, MiB and runs."""

    cpu_milli: int
    memory_mb: int
    slots: int

    def plus(self, other: "Amount") -> "Amount":
        """Both together."""
        return Amount(self.cpu_milli + other.cpu_milli, self.memory_mb + other.memory_mb, self.slots + other.slots)

    def minus(self, other: "Amount") -> "Amount":
        """What is left without the other; below zero where the other is larger."""
        return Amount(self.cpu_milli - other.cpu_milli, self.memory_mb - other.memory_mb, self.slots - other.slots)

    def holds(self, other: "Amount") -> bool:
        """True if the other fits in."""
        return self.slots >= other.slots and self.cpu_milli >= other.cpu_milli and self.memory_mb >= other.memory_mb

    def dominant_share(self, total: "Amount") -> float:
        """The largest fraction of the total that this is, over the three dimensions; a total of 0 counts as 1."""
        return max(
            self.cpu_milli / (total.cpu_milli or 1),
            self.memory_mb / (total.memory_mb or 1),
            self.slots / (total.slots or 1),
        )


NOTHING = Amount(0, 0, 0)


def of_capacity(capacity: Capacity) -> Amount:
    """What a node says it can hold."""
    return Amount(math.floor(capacity.cpus * 1000 + 1e-6), capacity.memory_mb, capacity.slots)


def of_resources(resources: Resources) -> Amount:
    """What one run takes: its limits and one slot."""
    return Amount(math.ceil(resources.cpus * 1000 - 1e-6), resources.memory_mb, 1)
