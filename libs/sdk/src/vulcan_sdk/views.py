"""Answers of the API that `vulcan_contracts.views` has no name for: lists, and a few small ones."""

from msgspec import Struct

from vulcan_contracts.outcome import Artifact
from vulcan_contracts.tenants import Role, Tenant
from vulcan_contracts.views import BackendView, KeyView, NodeView


class ArtifactList(Struct, frozen=True, kw_only=True):
    """The artifacts of a workload."""

    items: list[Artifact]


class BackendList(Struct, frozen=True, kw_only=True):
    """Every kind of isolation."""

    items: list[BackendView]


class NodeList(Struct, frozen=True, kw_only=True):
    """Every executor."""

    items: list[NodeView]


class KeyList(Struct, frozen=True, kw_only=True):
    """The API keys."""

    items: list[KeyView]


class TenantList(Struct, frozen=True, kw_only=True):
    """The tenants."""

    items: list[Tenant]


class WhoAmI(Struct, frozen=True, kw_only=True):
    """Whose key a request carries."""

    key_id: str
    tenant: str
    role: Role
    name: str = ""
