"""Whose turn it is: fair share between tenants, in one pool of nodes.

The tenant whose running work is the smallest part of the pool, by its dominant resource and relative to its weight,
goes first (dominant resource fairness). Where that is equal, as it always is when one run fills the pool, the tenant
that was served least goes first, measured by the share-seconds of its ended runs over its weight (start-time fair
queueing). A tenant that comes back after a pause starts level with whoever was served last: idling builds no credit,
and a debt is bounded by `debt_cap_s` seconds a run. Priorities order a tenant's own work and never count here.
"""

import heapq

from vulcan_scheduler.domain.amounts import NOTHING, Amount
from vulcan_scheduler.domain.lanes import Lane

_LEAST_CHARGE_S = 0.001


class Account:
    """One tenant in one pool: what it runs, what it has had, and the lanes in which it waits."""

    __slots__ = ("capped", "lanes", "served", "stamp", "tenant", "used", "weight")

    def __init__(self, tenant: str, weight: float, *, capped: bool) -> None:
        self.tenant = tenant
        self.weight = weight
        self.capped = capped
        self.used: Amount = NOTHING
        self.served = 0.0
        self.stamp = 0
        self.lanes: dict[Lane, None] = {}


class FairShare:
    """The tenants' accounts in one pool, and the order of turns in each lane."""

    def __init__(self, debt_cap_s: float) -> None:
        self.accounts: dict[str, Account] = {}
        self.total: Amount = NOTHING
        self._debt_cap_s = debt_cap_s
        self._level = 0.0
        self._stamps = 0

    def account(self, tenant: str, weight: float, *, capped: bool) -> Account:
        """The tenant's account, opened if need be."""
        found = self.accounts.get(tenant)
        if found is None:
            found = self.accounts[tenant] = Account(tenant, weight, capped=capped)
        return found

    def share(self, account: Account) -> float:
        """The weighted dominant share of what the tenant runs."""
        return account.used.dominant_share(self.total) / account.weight

    def set_total(self, total: Amount) -> None:
        """Take over a new size of the pool."""
        if total != self.total:
            self.total = total
            for account in self.accounts.values():
                self.refresh(account)

    def join(self, account: Account, lane: Lane) -> None:
        """The tenant begins to wait in this lane."""
        if not account.lanes:
            account.served = max(account.served, self._level)
            account.stamp = self._stamp()
        account.lanes[lane] = None
        self._push(account, lane)

    def leave(self, account: Account, lane: Lane) -> None:
        """The tenant has nothing left in this lane."""
        account.lanes.pop(lane, None)
        self._drop_if_idle(account)

    def occupy(self, account: Account, amount: Amount) -> None:
        """A run of the tenant takes its place."""
        account.used = account.used.plus(amount)
        self.refresh(account)

    def vacate(self, account: Account, amount: Amount, held_s: float) -> None:
        """A run of the tenant has left its place after so long."""
        charged = min(max(held_s, _LEAST_CHARGE_S), self._debt_cap_s)
        account.served += amount.dominant_share(self.total) * charged / account.weight
        account.used = account.used.minus(amount)
        self.refresh(account)
        self._drop_if_idle(account)

    def picked(self, account: Account) -> None:
        """The tenant had its turn: whoever comes back later starts level with it."""
        self._level = max(self._level, account.served)

    def refresh(self, account: Account) -> None:
        """Put the tenant where its account now says, in every lane it waits in."""
        account.stamp = self._stamp()
        for lane in account.lanes:
            self._push(account, lane)

    def first(self, lane: Lane) -> tuple[float, float, Account] | None:
        """Whose turn it is in this lane: weighted share, service had, and the account."""
        turns = lane.turns
        while turns:
            share, served, tenant, stamp = turns[0]
            account = self.accounts.get(tenant)
            if account is not None and account.stamp == stamp and not account.capped and lane in account.lanes:
                return share, served, account
            heapq.heappop(turns)
        return None

    def sweep(self) -> None:
        """Close the accounts of tenants that neither wait nor run and owe nothing."""
        for account in list(self.accounts.values()):
            self._drop_if_idle(account)

    def _stamp(self) -> int:
        """A number never given before: what is in a lane's heap under another number is out of date."""
        self._stamps += 1
        return self._stamps

    def _drop_if_idle(self, account: Account) -> None:
        if not account.lanes and account.used == NOTHING and account.served <= self._level:
            self.accounts.pop(account.tenant, None)

    def _push(self, account: Account, lane: Lane) -> None:
        if account.capped:
            return
        turns = lane.turns
        heapq.heappush(turns, (self.share(account), account.served, account.tenant, account.stamp))
        if len(turns) > 4 * len(lane.lines) + 64:
            lane.turns = [turn for turn in turns if self._current(turn, lane)]
            heapq.heapify(lane.turns)

    def _current(self, turn: tuple[float, float, str, int], lane: Lane) -> bool:
        account = self.accounts.get(turn[2])
        return account is not None and account.stamp == turn[3] and lane in account.lanes
