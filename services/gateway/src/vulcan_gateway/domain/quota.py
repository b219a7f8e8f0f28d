"""How much each tenant has waiting: what the scheduler said last, what was accepted here since, less what started."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from vulcan_contracts.queue import QueueSnapshot
from vulcan_gateway.domain.refusals import Refusal


class Reservation:
    """A place among a tenant's waiting workloads, until the scheduler counts it."""

    def __init__(self) -> None:
        self.seq: int | None = None

    def accepted(self, seq: int) -> None:
        """The submit is on the log, as event `seq`."""
        self.seq = seq


class WaitingQuota:
    """Refuses a submit that would put a tenant above its quota."""

    def __init__(self) -> None:
        self._snapshot = QueueSnapshot(seq=0, tenants={})
        self._since: dict[str, list[Reservation]] = defaultdict(list)
        self._starts: dict[str, list[int]] = defaultdict(list)

    def observe(self, snapshot: QueueSnapshot) -> None:
        """Take what the scheduler says; it counts everything up to its `seq`."""
        self._snapshot = snapshot
        for tenant, places in list(self._since.items()):
            left = [place for place in places if place.seq is None or place.seq > snapshot.seq]
            if left:
                self._since[tenant] = left
            else:
                del self._since[tenant]
        for tenant, starts in list(self._starts.items()):
            unseen = [seq for seq in starts if seq > snapshot.seq]
            if unseen:
                self._starts[tenant] = unseen
            else:
                del self._starts[tenant]

    def started(self, tenant: str, seq: int) -> None:
        """One of a tenant's workloads began to run, as event `seq`: it waits no more, whatever the last word was."""
        if seq > self._snapshot.seq:
            self._starts[tenant].append(seq)

    def waiting(self, tenant: str) -> int:
        """How many wait, as far as is known here."""
        load = self._snapshot.tenants.get(tenant)
        counted = (load.waiting if load else 0) + len(self._since.get(tenant, ()))
        return max(0, counted - len(self._starts.get(tenant, ())))

    @contextmanager
    def reserve(self, tenant: str, limit: int) -> Iterator[Reservation]:
        """Hold a place while a submit is appended; it stays taken if the block calls `accepted`.

        Raises:
            Refusal: `quota_exceeded`.
        """
        if self.waiting(tenant) >= limit:
            raise Refusal(
                "quota_exceeded",
                f"{self.waiting(tenant)} workloads of this tenant wait already; its quota is {limit}.",
                hint="Wait until some have started, or ask for a larger quota.",
                retry_after_s=1,
            )
        place = Reservation()
        self._since[tenant].append(place)
        try:
            yield place
        finally:
            if place.seq is None or place.seq <= self._snapshot.seq:
                self._release(tenant, place)

    def _release(self, tenant: str, place: Reservation) -> None:
        places = self._since.get(tenant)
        if places is not None and place in places:
            places.remove(place)
            if not places:
                del self._since[tenant]
