"""The client for asyncio: the same calls as `client.Vulcan`."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from types import TracebackType
from typing import Self, TypeVar

from vulcan_contracts.logs import LogLine
from vulcan_contracts.outcome import Artifact
from vulcan_contracts.projections import RebuildStatus
from vulcan_contracts.spec import Spec
from vulcan_contracts.tenants import Quotas, Role, Tenant
from vulcan_contracts.views import (
    BackendView,
    EventPage,
    EventView,
    KeyRequest,
    KeyView,
    LogPage,
    NewKey,
    NodeView,
    Stats,
    TenantRequest,
    WhoAmI,
    WorkloadPage,
    WorkloadSummary,
    WorkloadView,
)
from vulcan_sdk import api
from vulcan_sdk.async_transport import AsyncTransport
from vulcan_sdk.config import Config, discover
from vulcan_sdk.filters import ALL_LINES, ALL_WORKLOADS, LineFilter, WorkloadFilter
from vulcan_sdk.retry import RetryPolicy
from vulcan_sdk.session import Session
from vulcan_sdk.wire import Call
from vulcan_sdk.work import Work

T = TypeVar("T")


class AsyncVulcan:
    """Speaks to one Vulcan. Finds address and key by itself (`config.discover`); close it, or use it in `async with`.

    Every method raises ApiError, ConnectError, DeadlineError or ProtocolError, all of them VulcanError.
    """

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        timeout_s: float = 30.0,
        retries: RetryPolicy | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.config: Config = discover(url, api_key, environ=environ)
        self._session = Session(base_url=self.config.url, timeout_s=timeout_s, policy=retries or RetryPolicy())
        self._transport = AsyncTransport(self.config)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()

    async def run(
        self,
        work: Spec | Work,
        *,
        idempotency_key: str | None = None,
        timeout_s: float | None = None,
    ) -> WorkloadView:
        """Submit and wait for the end, at most `timeout_s` (None: as long as it takes).

        `from_code` and `from_path` make work of code, files, folders and archives; a spec is work as it is.
        """
        flow = self._session.run(Work.of(work), idempotency_key=idempotency_key, timeout_s=timeout_s)
        return await self._transport.finish(flow)

    async def submit(
        self,
        work: Spec | Work,
        *,
        idempotency_key: str | None = None,
        wait_s: float | None = None,
    ) -> WorkloadView:
        """Submit; return at once, or let the server wait up to `wait_s` for the end."""
        return await self._call(api.submit(Work.of(work), wait_s=wait_s, idempotency_key=idempotency_key))

    async def wait(self, workload_id: str, *, timeout_s: float | None = None) -> WorkloadView:
        """Wait for a workload's end."""
        return await self._transport.finish(self._session.wait(workload_id, timeout_s=timeout_s))

    async def get(self, workload_id: str) -> WorkloadView:
        """One workload as it is now."""
        return await self._call(api.get(workload_id))

    async def workloads(
        self, where: WorkloadFilter = ALL_WORKLOADS, *, limit: int | None = None, cursor: str | None = None
    ) -> WorkloadPage:
        """A page of workloads, newest first."""
        return await self._call(api.workloads(where, limit=limit, cursor=cursor))

    def iter_workloads(
        self, where: WorkloadFilter = ALL_WORKLOADS, *, page: int | None = None
    ) -> AsyncGenerator[WorkloadSummary, None]:
        """Every workload, newest first, `page` of them per request."""
        return self._transport.stream(self._session.workloads(where, page=page))

    async def kill(self, workload_id: str) -> WorkloadView:
        """Kill; repeating it is harmless."""
        return await self._call(api.kill(workload_id))

    async def delete(self, workload_id: str) -> None:
        """Kill if needed, and hide from lists."""
        return await self._call(api.delete(workload_id))

    async def replay(
        self, workload_id: str, *, wait_s: float | None = None, idempotency_key: str | None = None
    ) -> WorkloadView:
        """Run the same spec again, as a new workload that names this one."""
        return await self._call(api.replay(workload_id, wait_s=wait_s, idempotency_key=idempotency_key))

    async def logs(
        self, workload_id: str, where: LineFilter = ALL_LINES, *, after: int | None = None, limit: int | None = None
    ) -> LogPage:
        """A page of log lines, those after line `after`."""
        return await self._call(api.logs(workload_id, where, after=after, limit=limit))

    def iter_logs(
        self, workload_id: str, where: LineFilter = ALL_LINES, *, after: int = 0, tail: int | None = None
    ) -> AsyncGenerator[LogLine, None]:
        """Every log line that there is now, page after page; `tail`: of the last so many lines."""
        return self._transport.stream(self._session.log_pages(workload_id, where, after=after, tail=tail))

    def follow_logs(
        self, workload_id: str, where: LineFilter = ALL_LINES, *, after: int = 0, tail: int | None = None
    ) -> AsyncGenerator[LogLine, None]:
        """Log lines as they come, each once, to the workload's end; those there are (or the last `tail`) first."""
        return self._transport.stream(self._session.follow_logs(workload_id, where, after=after, tail=tail))

    async def events(self, workload_id: str, *, after: int | None = None) -> EventPage:
        """The history of a workload."""
        return await self._call(api.events(workload_id, after=after))

    def follow_events(self, workload_id: str, *, after: int | None = None) -> AsyncGenerator[EventView, None]:
        """The events of a workload, past and to come, until it has ended."""
        return self._transport.stream(self._session.follow_events(workload_id, after=after))

    def follow_all_events(
        self, *, after: int | None = None, types: Sequence[str] = ()
    ) -> AsyncGenerator[EventView, None]:
        """The events of all the tenant's workloads as they happen, for ever; those after `after` first."""
        return self._transport.stream(self._session.follow_all_events(after=after, types=types))

    async def artifacts(self, workload_id: str) -> list[Artifact]:
        """The files that a workload left."""
        return (await self._call(api.artifacts(workload_id))).items

    def download(self, workload_id: str, name: str) -> AsyncGenerator[bytes, None]:
        """The bytes of one artifact, as they come."""
        return self._transport.stream(self._session.download(api.artifact(workload_id, name)))

    async def backends(self) -> list[BackendView]:
        """Which isolations work, where, and what is missing where one does not."""
        return (await self._call(api.backends())).items

    async def nodes(self) -> list[NodeView]:
        """The executors."""
        return (await self._call(api.nodes())).items

    async def drain(self, node: str, *, drain: bool = True) -> NodeView:
        """Give a node no new work; `drain=False`: again."""
        return await self._call(api.drain(node, drain=drain))

    async def stats(self, *, window_s: float | None = None) -> Stats:
        """What each backend did in the last `window_s` seconds, or ever."""
        return await self._call(api.stats(window_s=window_s))

    async def create_key(self, *, role: Role = "writer", name: str = "", tenant: str | None = None) -> NewKey:
        """A new API key; its secret is in this answer only."""
        return await self._call(api.create_key(KeyRequest(role=role, name=name, tenant=tenant)))

    async def keys(self) -> list[KeyView]:
        """The API keys, without their secrets."""
        return (await self._call(api.keys())).items

    async def revoke_key(self, key_id: str) -> None:
        """End a key."""
        return await self._call(api.revoke_key(key_id))

    async def tenants(self) -> list[Tenant]:
        """Every tenant."""
        return (await self._call(api.tenants())).items

    async def tenant(self, tenant_id: str) -> Tenant:
        """One tenant's settings."""
        return await self._call(api.tenant(tenant_id))

    async def put_tenant(
        self, tenant_id: str, *, quotas: Quotas | None = None, log_retention_days: int | None = None
    ) -> Tenant:
        """Store a tenant's settings; what is left out goes back to its default."""
        wanted = TenantRequest(quotas=quotas or Quotas(), log_retention_days=log_retention_days)
        return await self._call(api.put_tenant(tenant_id, wanted))

    async def whoami(self) -> WhoAmI:
        """Whose key this client carries."""
        return await self._call(api.whoami())

    async def rebuild(self) -> RebuildStatus:
        """Build the projections again from the event log; answers at once, or with the rebuild that goes on."""
        return await self._call(api.rebuild())

    async def rebuild_status(self, rebuild_id: str | None = None) -> RebuildStatus:
        """How far a rebuild is; without an id, the newest."""
        return await self._call(api.rebuild_status(rebuild_id))

    async def _call(self, call: Call[T]) -> T:
        return await self._transport.finish(self._session.call(call))
