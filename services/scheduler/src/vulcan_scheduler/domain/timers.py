"""Deadlines by name, the nearest first; setting and clearing one costs the logarithm of how many there are."""

import heapq


class Timers:
    """At most one deadline per name. A cleared one stays in the heap until it surfaces or the heap is cleaned."""

    def __init__(self) -> None:
        self._deadlines: dict[str, float] = {}
        self._heap: list[tuple[float, str]] = []

    def __len__(self) -> int:
        return len(self._deadlines)

    def __contains__(self, name: str) -> bool:
        return name in self._deadlines

    def set(self, name: str, deadline: float) -> None:
        """Start the timer, or move it."""
        if self._deadlines.get(name) == deadline:
            return
        self._deadlines[name] = deadline
        heapq.heappush(self._heap, (deadline, name))
        if len(self._heap) > 2 * len(self._deadlines) + 256:
            self._heap = [(deadline, name) for name, deadline in self._deadlines.items()]
            heapq.heapify(self._heap)

    def clear(self, name: str) -> None:
        """Forget the timer, if there is one."""
        self._deadlines.pop(name, None)

    def next(self) -> float | None:
        """The nearest deadline."""
        heap = self._heap
        while heap and self._deadlines.get(heap[0][1]) != heap[0][0]:
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def pop_due(self, now: float) -> list[str]:
        """Take out every name whose deadline has come, the earliest first."""
        due = []
        while (deadline := self.next()) is not None and deadline <= now:
            _, name = heapq.heappop(self._heap)
            del self._deadlines[name]
            due.append(name)
        return due
