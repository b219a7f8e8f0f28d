"""The calls of the HTTP API: what each sends and what it answers. Without input or output, for both clients."""

import uuid
from typing import Any, Final
from urllib.parse import quote

from vulcan_contracts.projections import RebuildStatus
from vulcan_contracts.tenants import Tenant
from vulcan_contracts.views import (
    ArtifactList,
    BackendList,
    DrainRequest,
    EventPage,
    KeyList,
    KeyRequest,
    LogPage,
    NewKey,
    NodeList,
    NodeView,
    Stats,
    TenantList,
    TenantRequest,
    WhoAmI,
    WorkloadPage,
    WorkloadView,
)
from vulcan_sdk.filters import LineFilter, WorkloadFilter
from vulcan_sdk.multipart import multipart
from vulcan_sdk.sse import MEDIA_TYPE as EVENT_STREAM
from vulcan_sdk.wire import Call, Params, Request, encoded, into, json_body, nothing
from vulcan_sdk.work import Work

WORKLOADS: Final = "/v1/workloads"
UPLOAD_S: Final = 120.0
"""How much longer a submit may take whose archive has to be sent."""


def new_idempotency_key() -> str:
    """A key for one submit: repeats after a lost connection find the workload that the first try made."""
    return f"sdk-{uuid.uuid4().hex}"


def workload_path(workload_id: str, *rest: str) -> str:
    """The path of one workload, or of something under it."""
    return "/".join((WORKLOADS, *(segment(part) for part in (workload_id, *rest))))


def segment(text: str) -> str:
    """Text as one part of a path, whatever it holds."""
    return quote(text, safe="", errors="replace")


def submit(work: Work, *, wait_s: float | None, idempotency_key: str | None) -> Call[WorkloadView]:
    """Submit; `wait_s` None returns at once, otherwise the server answers at the end or after that time."""
    if work.archive is None:
        headers, body = json_body(work.spec)
    else:
        headers, body = multipart(encoded(work.spec), work.archive)
    return Call(
        request=Request(
            method="POST",
            path=f"{WORKLOADS}/async" if wait_s is None else WORKLOADS,
            params={} if wait_s is None else {"wait": f"{wait_s:g}"},
            headers=headers | {"idempotency-key": idempotency_key or new_idempotency_key()},
            body=body,
        ),
        decode=into(WorkloadView),
        patience_s=(wait_s or 0.0) + (0.0 if work.archive is None else UPLOAD_S),
    )


def get(workload_id: str) -> Call[WorkloadView]:
    """One workload, as the log has it now."""
    return Call(request=Request(method="GET", path=workload_path(workload_id)), decode=into(WorkloadView))


def workloads(where: WorkloadFilter, *, limit: int | None = None, cursor: str | None = None) -> Call[WorkloadPage]:
    """A page of workloads, newest first."""
    params = where.params() | present(limit=limit, cursor=cursor)
    return Call(request=Request(method="GET", path=WORKLOADS, params=params), decode=into(WorkloadPage))


def kill(workload_id: str) -> Call[WorkloadView]:
    """Kill; repeating it is harmless."""
    return Call(request=Request(method="POST", path=workload_path(workload_id, "kill")), decode=into(WorkloadView))


def delete(workload_id: str) -> Call[None]:
    """Kill if needed and hide from lists."""
    return Call(request=Request(method="DELETE", path=workload_path(workload_id)), decode=nothing)


def replay(workload_id: str, *, wait_s: float | None, idempotency_key: str | None) -> Call[WorkloadView]:
    """The same spec again, as a new workload."""
    return Call(
        request=Request(
            method="POST",
            path=workload_path(workload_id, "replay"),
            params=present(wait=wait_s),
            headers={"idempotency-key": idempotency_key or new_idempotency_key()},
        ),
        decode=into(WorkloadView),
        patience_s=wait_s or 0.0,
    )


def logs(
    workload_id: str,
    where: LineFilter,
    *,
    after: int | None = None,
    limit: int | None = None,
    tail: int | None = None,
) -> Call[LogPage]:
    """A page of log lines; `tail`: begin with the last so many of all lines."""
    params = where.params() | present(after=after, limit=limit, tail=tail)
    return Call(
        request=Request(method="GET", path=workload_path(workload_id, "logs"), params=params), decode=into(LogPage)
    )


def events(workload_id: str, *, after: int | None = None) -> Call[EventPage]:
    """A page of a workload's history."""
    return Call(
        request=Request(method="GET", path=workload_path(workload_id, "events"), params=present(after=after)),
        decode=into(EventPage),
    )


def event_stream(path: str, params: Params, position: str | None) -> Request:
    """The request that opens a stream of server-sent events after `position`."""
    headers = {"accept": EVENT_STREAM, "cache-control": "no-store"}
    return Request(
        method="GET",
        path=path,
        params=params,
        headers=headers | ({} if position is None else {"last-event-id": position}),
    )


def artifacts(workload_id: str) -> Call[ArtifactList]:
    """The files that a workload left."""
    return Call(request=Request(method="GET", path=workload_path(workload_id, "artifacts")), decode=into(ArtifactList))


def artifact(workload_id: str, name: str) -> Request:
    """The request for one artifact's bytes."""
    return Request(method="GET", path=workload_path(workload_id, "artifacts", *name.split("/")))


def backends() -> Call[BackendList]:
    """Which isolations work, where, and what is missing."""
    return Call(request=Request(method="GET", path="/v1/backends"), decode=into(BackendList))


def nodes() -> Call[NodeList]:
    """The executors."""
    return Call(request=Request(method="GET", path="/v1/nodes"), decode=into(NodeList))


def drain(node: str, *, drain: bool) -> Call[NodeView]:
    """Give a node no new work, or again."""
    headers, body = json_body(DrainRequest(drain=drain))
    path = f"/v1/nodes/{segment(node)}/drain"
    return Call(request=Request(method="POST", path=path, headers=headers, body=body), decode=into(NodeView))


def stats(*, window_s: float | None = None) -> Call[Stats]:
    """What each backend did lately."""
    return Call(request=Request(method="GET", path="/v1/stats", params=present(window_s=window_s)), decode=into(Stats))


def create_key(wanted: KeyRequest) -> Call[NewKey]:
    """A new API key; not repeatable, since each answer shows a secret once."""
    headers, body = json_body(wanted)
    request = Request(method="POST", path="/v1/keys", headers=headers, body=body)
    return Call(request=request, decode=into(NewKey), repeatable=False)


def keys() -> Call[KeyList]:
    """The keys, without their secrets."""
    return Call(request=Request(method="GET", path="/v1/keys"), decode=into(KeyList))


def revoke_key(key_id: str) -> Call[None]:
    """End a key."""
    return Call(request=Request(method="DELETE", path=f"/v1/keys/{segment(key_id)}"), decode=nothing)


def tenants() -> Call[TenantList]:
    """Every tenant."""
    return Call(request=Request(method="GET", path="/v1/tenants"), decode=into(TenantList))


def tenant(tenant_id: str) -> Call[Tenant]:
    """One tenant's settings."""
    return Call(request=Request(method="GET", path=f"/v1/tenants/{segment(tenant_id)}"), decode=into(Tenant))


def put_tenant(tenant_id: str, wanted: TenantRequest) -> Call[Tenant]:
    """Store a tenant's settings."""
    headers, body = json_body(wanted)
    path = f"/v1/tenants/{segment(tenant_id)}"
    return Call(request=Request(method="PUT", path=path, headers=headers, body=body), decode=into(Tenant))


def whoami() -> Call[WhoAmI]:
    """Whose key this is."""
    return Call(request=Request(method="GET", path="/v1/whoami"), decode=into(WhoAmI))


def rebuild() -> Call[RebuildStatus]:
    """Build the projections again from the event log; while one goes on, that one is the answer."""
    return Call(request=Request(method="POST", path="/v1/admin/rebuild"), decode=into(RebuildStatus))


def rebuild_status(rebuild_id: str | None) -> Call[RebuildStatus]:
    """How far a rebuild is; None: the newest."""
    path = "/v1/admin/rebuild" if rebuild_id is None else f"/v1/admin/rebuild/{segment(rebuild_id)}"
    return Call(request=Request(method="GET", path=path), decode=into(RebuildStatus))


def present(**params: Any) -> Params:
    """Query parameters without those that are None."""
    return {name: f"{v:g}" if isinstance(v, float) else str(v) for name, v in params.items() if v is not None}
