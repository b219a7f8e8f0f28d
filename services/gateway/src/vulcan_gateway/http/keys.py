"""API keys and tenants: for admins."""

from typing import Annotated, Final

from litestar import Response
from msgspec import Meta, Struct

from vulcan_contracts.ids import TENANT_ID
from vulcan_contracts.tenants import ApiKey, Tenant
from vulcan_contracts.views import KeyList, KeyRequest, KeyView, NewKey, TenantList, TenantRequest, WhoAmI
from vulcan_gateway.domain.refusals import Refusal
from vulcan_gateway.http.calls import Call, Gateway, NoQuery, PathText, answer, nothing, query
from vulcan_gateway.http.intake import read_json
from vulcan_gateway.http.operations import operation

_BODY: Final = (
    "malformed_json",
    "request_timeout",
    "body_too_large",
    "unsupported_media_type",
    "invalid_body",
)


class KeysQuery(Struct, frozen=True, kw_only=True):
    """`tenant`: whose; without it, the caller's own."""

    tenant: Annotated[str, Meta(max_length=64)] | None = None


def _view(key: ApiKey) -> KeyView:
    return KeyView(id=key.id, tenant=key.tenant, role=key.role, name=key.name, created_at=key.created_at)


@operation(
    "GET",
    "/v1/whoami",
    summary="Whose key this is",
    tag="keys",
    query=NoQuery,
    answers={200: (WhoAmI,)},
    refusals=("invalid_parameter",),
)
async def whoami(request: Call) -> Response[bytes]:
    """The key's id, tenant and role."""
    query(request, NoQuery)
    key = request.user.key
    return answer(WhoAmI(key_id=key.id, tenant=key.tenant, role=key.role, name=key.name))


@operation(
    "GET",
    "/v1/keys",
    summary="List API keys",
    tag="keys",
    role="admin",
    query=KeysQuery,
    answers={200: (KeyList,)},
    refusals=("invalid_parameter",),
)
async def list_keys(request: Call, gateway: Gateway) -> Response[bytes]:
    """The keys of a tenant, oldest first."""
    wanted = query(request, KeysQuery)
    tenant = request.user.managed_tenant(wanted.tenant)
    return answer(KeyList(items=[_view(key) for key in gateway.keyring.keys(tenant)]))


@operation(
    "POST",
    "/v1/keys",
    summary="Make an API key",
    tag="keys",
    role="admin",
    query=NoQuery,
    body=KeyRequest,
    answers={201: (NewKey,)},
    refusals=("invalid_parameter", *_BODY, "event_log_unavailable"),
)
async def make_key(request: Call, gateway: Gateway) -> Response[bytes]:
    """The answer is the only place where the key ever stands."""
    query(request, NoQuery)
    wanted = await read_json(gateway, request, KeyRequest)
    tenant = request.user.managed_tenant(wanted.tenant)
    key, token = await gateway.keyring.make(tenant, wanted.role, wanted.name)
    made = NewKey(id=key.id, tenant=tenant, role=key.role, name=key.name, created_at=key.created_at, key=token)
    return answer(made, 201, {"Location": f"/v1/keys/{key.id}", "Cache-Control": "no-store"})


@operation(
    "DELETE",
    "/v1/keys/{key_id:str}",
    summary="Revoke an API key",
    tag="keys",
    role="admin",
    query=NoQuery,
    answers={204: (None,)},
    refusals=("invalid_parameter", "not_found", "event_log_unavailable"),
)
async def revoke_key(request: Call, gateway: Gateway, key_id: PathText) -> Response[bytes]:
    """It stops working at once."""
    query(request, NoQuery)
    known = await gateway.keyring.find(key_id)
    if known is None or not (request.user.is_platform_admin or known.tenant == request.user.tenant):
        raise Refusal("not_found", "There is no such key.")
    await gateway.keyring.revoke(key_id)
    return nothing()


def _tenant_id(text: str) -> str:
    if not TENANT_ID.fullmatch(text):
        raise Refusal("not_found", "There can be no such tenant.")
    return text


@operation(
    "GET",
    "/v1/tenants",
    summary="List tenants",
    tag="tenants",
    role="admin",
    platform=True,
    query=NoQuery,
    answers={200: (TenantList,)},
    refusals=("invalid_parameter",),
)
async def list_tenants(request: Call, gateway: Gateway) -> Response[bytes]:
    """Those with settings of their own; every other one has the defaults."""
    query(request, NoQuery)
    return answer(TenantList(items=gateway.cluster.tenants()))


@operation(
    "GET",
    "/v1/tenants/{tenant_id:str}",
    summary="Get a tenant's settings",
    tag="tenants",
    role="admin",
    platform=True,
    query=NoQuery,
    answers={200: (Tenant,)},
    refusals=("invalid_parameter", "not_found"),
)
async def get_tenant(request: Call, gateway: Gateway, tenant_id: PathText) -> Response[bytes]:
    """Its quotas and log retention; the defaults if none were set."""
    query(request, NoQuery)
    return answer(gateway.cluster.tenant(_tenant_id(tenant_id)))


@operation(
    "PUT",
    "/v1/tenants/{tenant_id:str}",
    summary="Set a tenant's settings",
    tag="tenants",
    role="admin",
    platform=True,
    query=NoQuery,
    body=TenantRequest,
    answers={200: (Tenant,)},
    refusals=("invalid_parameter", *_BODY, "not_found", "event_log_unavailable"),
)
async def put_tenant(request: Call, gateway: Gateway, tenant_id: PathText) -> Response[bytes]:
    """Replaces all of them."""
    query(request, NoQuery)
    wanted = await read_json(gateway, request, TenantRequest)
    tenant = Tenant(id=_tenant_id(tenant_id), quotas=wanted.quotas, log_retention_days=wanted.log_retention_days)
    await gateway.cluster.put_tenant(tenant)
    return answer(tenant)


HANDLERS: Final = [whoami, list_keys, make_key, revoke_key, list_tenants, get_tenant, put_tenant]
