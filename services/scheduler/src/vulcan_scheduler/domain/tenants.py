"""What each tenant has waiting and running over all pools, and what it may have."""

from vulcan_contracts.queue import TenantLoad
from vulcan_contracts.tenants import Quotas

_LEAST_WEIGHT = 0.001


class TenantState:
    """One tenant's load. running: given to a node, started or not; that is what its quota counts."""

    __slots__ = ("running", "waiting")

    def __init__(self) -> None:
        self.waiting = 0
        self.running = 0


class Tenants:
    """The loads of all tenants that have any, and the quotas of those that have some set."""

    def __init__(self, default_max_running: int) -> None:
        self.loads: dict[str, TenantState] = {}
        self._quotas: dict[str, Quotas] = {}
        self._default_max_running = default_max_running

    def set_quotas(self, tenant: str, quotas: Quotas | None) -> None:
        """Take over what a tenant may have; None: nothing particular."""
        if quotas is None:
            self._quotas.pop(tenant, None)
        else:
            self._quotas[tenant] = quotas

    def weight(self, tenant: str) -> float:
        """The tenant's part in fair share."""
        quotas = self._quotas.get(tenant)
        return 1.0 if quotas is None else max(quotas.weight, _LEAST_WEIGHT)

    def max_running(self, tenant: str) -> int:
        """How many the tenant may have on nodes at once."""
        quotas = self._quotas.get(tenant)
        if quotas is None or quotas.max_running is None:
            return self._default_max_running
        return quotas.max_running

    def capped(self, tenant: str) -> bool:
        """True if the tenant may not have another one running."""
        load = self.loads.get(tenant)
        return (0 if load is None else load.running) >= self.max_running(tenant)

    def count(self, tenant: str, *, waiting: int = 0, running: int = 0) -> None:
        """Add to the tenant's load."""
        load = self.loads.get(tenant)
        if load is None:
            load = self.loads[tenant] = TenantState()
        load.waiting += waiting
        load.running += running
        if load.waiting == 0 and load.running == 0:
            del self.loads[tenant]

    def snapshot(self) -> dict[str, TenantLoad]:
        """Every tenant's load, to be sent."""
        return {tenant: TenantLoad(waiting=load.waiting, running=load.running) for tenant, load in self.loads.items()}
