"""What this gateway knows of the rest: nodes by heartbeats, the queue by the scheduler's word, tenants, drains."""

import asyncio
import time
from contextlib import AbstractContextManager

import msgspec

from vulcan_contracts import subjects
from vulcan_contracts.clock import utc_now
from vulcan_contracts.events import Recorded
from vulcan_contracts.nodes import Heartbeat
from vulcan_contracts.queue import ExplainRequest, Explanation, QueueSnapshot
from vulcan_contracts.spec import Spec
from vulcan_contracts.tenants import Tenant
from vulcan_contracts.views import BackendView, DrainRequest, NodeView
from vulcan_eventstore import broadcast
from vulcan_eventstore.buckets import Bucket, Mirror
from vulcan_eventstore.connection import Bus
from vulcan_eventstore.errors import EventStoreUnavailableError
from vulcan_gateway.domain.nodes import NodeRegistry
from vulcan_gateway.domain.quota import Reservation, WaitingQuota
from vulcan_gateway.domain.refusals import Refusal
from vulcan_gateway.settings import ClusterSettings


class Cluster:
    """The gateway's view of everything that is not a workload."""

    def __init__(
        self,
        bus: Bus,
        settings: ClusterSettings,
        *,
        default_max_waiting: int,
        tenants: Bucket[Tenant],
        tenants_mirror: Mirror[Tenant],
        drains: Bucket[DrainRequest],
        drains_mirror: Mirror[DrainRequest],
    ) -> None:
        self._bus = bus
        self._settings = settings
        self._default_max_waiting = default_max_waiting
        self._tenants = tenants
        self._tenants_mirror = tenants_mirror
        self._drains = drains
        self._drains_mirror = drains_mirror
        self._registry = NodeRegistry(missed_intervals=settings.missed_heartbeats, forget_s=settings.node_forget_s)
        self._quota = WaitingQuota()
        self._began_s = time.monotonic()
        self._heard = asyncio.Event()

    def hear_heartbeat(self, heartbeat: Heartbeat) -> None:
        """A node lives."""
        self._registry.observe(heartbeat, time.monotonic(), utc_now())
        self._heard.set()

    def hear_snapshot(self, snapshot: QueueSnapshot) -> None:
        """The scheduler says how much waits."""
        self._quota.observe(snapshot)

    def hear_event(self, event: Recorded) -> None:
        """Something happened to a workload."""
        if event.envelope.type == "started":
            self._quota.started(event.envelope.tenant, event.seq)

    async def require_backend(self, spec: Spec) -> None:
        """Refuse what no node can run. Just after the start, first wait for the nodes to be heard of.

        Raises:
            Refusal: `backend_unavailable`.
        """
        while (missing := self._registry.missing(spec, time.monotonic())) is not None:
            left_s = self._began_s + self._settings.node_grace_s - time.monotonic()
            if left_s <= 0:
                raise Refusal(
                    "backend_unavailable",
                    missing,
                    hint="See /v1/backends for what works; start an executor that offers it, or ask for another.",
                    retry_after_s=5,
                )
            self._heard.clear()
            try:
                async with asyncio.timeout(left_s):
                    await self._heard.wait()
            except TimeoutError:
                continue

    def reserve(self, tenant: str) -> AbstractContextManager[Reservation]:
        """A place in the tenant's queue, for the time of a submit.

        Raises:
            Refusal: `quota_exceeded`, on entering.
        """
        known = self._tenants_mirror.get(tenant)
        limit = known.quotas.max_waiting if known is not None else None
        return self._quota.reserve(tenant, self._default_max_waiting if limit is None else limit)

    async def explain(self, tenant: str, workload_id: str) -> Explanation | None:
        """Why a workload waits, if the scheduler says so in time."""
        question = ExplainRequest(tenant=tenant, workload_id=workload_id)
        try:
            return await broadcast.request(
                self._bus,
                subjects.EXPLAIN_REQUEST,
                question,
                Explanation,
                timeout_s=self._settings.explain_timeout_s,
            )
        except EventStoreUnavailableError:
            return None

    def nodes(self) -> list[NodeView]:
        """Every executor."""
        return self._registry.nodes(time.monotonic(), self._drained())

    def backends(self) -> list[BackendView]:
        """Every kind of isolation."""
        return self._registry.backends(time.monotonic(), self._drained())

    def _drained(self) -> frozenset[str]:
        return frozenset(node for node, wish in self._drains_mirror.values.items() if wish.drain)

    async def drain(self, node: str, wish: DrainRequest) -> NodeView:
        """Give a node nothing new, or again.

        Raises:
            Refusal: `not_found`; the node was not heard of.
            EventStoreUnavailableError: NATS is away.
        """
        views = {view.node: view for view in self.nodes()}
        if node not in views:
            raise Refusal("not_found", "There is no such node.")
        if wish.drain:
            await self._drains.put(node, wish)
        else:
            await self._drains.delete(node)
        view = views[node]
        return msgspec.structs.replace(view, draining=wish.drain or view.state == "draining")

    def tenant(self, tenant_id: str) -> Tenant:
        """A tenant's settings; one that has none has the defaults."""
        return self._tenants_mirror.get(tenant_id) or Tenant(id=tenant_id)

    def tenants(self) -> list[Tenant]:
        """Every tenant with settings of its own, by id."""
        return sorted(self._tenants_mirror.values.values(), key=lambda tenant: tenant.id)

    async def put_tenant(self, tenant: Tenant) -> None:
        """Store a tenant's settings.

        Raises:
            EventStoreUnavailableError: NATS is away.
        """
        await self._tenants.put(tenant.id, tenant)
