"""Who is calling."""

from typing import NamedTuple

from vulcan_contracts.tenants import DEFAULT_TENANT, ApiKey, Role
from vulcan_gateway.domain.refusals import Refusal


class Principal(NamedTuple):
    """The holder of a key. Everything it sees and does is its tenant's."""

    key: ApiKey

    @property
    def tenant(self) -> str:
        """Whose work this is."""
        return self.key.tenant

    @property
    def actor(self) -> str:
        """How the caller stands in events."""
        return f"user:{self.key.id}"

    @property
    def is_platform_admin(self) -> bool:
        """An admin of the default tenant looks after the platform: all tenants, nodes, rebuilds."""
        return self.key.role == "admin" and self.key.tenant == DEFAULT_TENANT

    def require(self, role: Role) -> None:
        """Refuse unless the key has at least this role."""
        if not self.key.allows(role):
            raise Refusal("forbidden", f"This call needs the role {role}; the key has {self.key.role}.")

    def require_default_tenant(self) -> None:
        """Refuse all tenants but the one whose keys look after the platform."""
        if self.tenant != DEFAULT_TENANT:
            raise Refusal("forbidden", f"This call needs a key of the tenant {DEFAULT_TENANT}.")

    def managed_tenant(self, asked: str | None) -> str:
        """The tenant whose keys are meant: one's own, or any for the platform's admin."""
        tenant = self.tenant if asked is None else asked
        if tenant != self.tenant and not self.is_platform_admin:
            raise Refusal("forbidden", "Only an admin of the default tenant manages other tenants' keys.")
        return tenant
