"""What the plan wants done: the scheduler's application carries it out and tells the plan what came of it."""

from msgspec import Struct

from vulcan_contracts.spec import Backend
from vulcan_contracts.workload import Workload


class Release(Struct, frozen=True, kw_only=True):
    """Give the workload to this life of this node. `state` None: it was too large to keep, load it."""

    workload_id: str
    tenant: str
    isolation: Backend
    reason: str
    node: str
    incarnation: str
    state: Workload | None
    seq: int
    waited_s: float
    traceparent: str | None


class Expire(Struct, frozen=True, kw_only=True):
    """Give the workload up: it waited longer than its queue TTL."""

    workload_id: str
    tenant: str
    traceparent: str | None


class Lose(Struct, frozen=True, kw_only=True):
    """Declare the attempt lost with the life of the node that ran it."""

    workload_id: str
    tenant: str
    node: str
    incarnation: str
    attempt: int
    traceparent: str | None


class Offer(Struct, frozen=True, kw_only=True):
    """Put what is given to this life of the node into its queue once more. `state` None: load it."""

    workload_id: str
    tenant: str
    node: str
    incarnation: str
    state: Workload | None
    seq: int


class Withdraw(Struct, frozen=True, kw_only=True):
    """Empty the dispatch queue of a node that is gone."""

    node: str


Chore = Expire | Lose | Offer | Withdraw
