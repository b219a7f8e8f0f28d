"""Tenants and their API keys, as stored. A key's secret is never stored, only its SHA-256."""

import hashlib
import hmac
import re
import secrets
from datetime import datetime
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

Role = Literal["admin", "writer", "reader"]

DEFAULT_TENANT: Final = "default"

_KEY: Final = re.compile(r"vk_([0-9a-z]{12})_([0-9A-Za-z]{40})")
_LOWER: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
_ALNUM: Final = _LOWER + _LOWER[10:].upper()


class Quotas(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How much a tenant may have at once; None means as much as the service's setting says."""

    max_running: Annotated[int, Meta(ge=0, le=1_000_000)] | None = None
    max_waiting: Annotated[int, Meta(ge=0, le=1_000_000)] | None = None
    weight: Annotated[float, Meta(ge=0.01, le=1000)] = 1.0
    """The tenant's part in fair share, relative to the others'."""


class Tenant(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whom work belongs to."""

    id: str
    quotas: Quotas = Quotas()
    log_retention_days: int | None = None


class ApiKey(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A key as stored. An admin acts in its own tenant and manages keys, tenants and nodes."""

    id: str
    tenant: str
    role: Role
    secret_sha256: str
    created_at: datetime
    name: str = ""

    def allows(self, role: Role) -> bool:
        """True if a holder of this key may do what `role` may."""
        return _RANK[self.role] >= _RANK[role]

    def matches(self, token: str) -> bool:
        """True if `token` is this key's secret; takes the same time either way."""
        return hmac.compare_digest(self.secret_sha256, token_sha256(token))


_RANK: Final[dict[Role, int]] = {"reader": 0, "writer": 1, "admin": 2}


def new_token() -> str:
    """A new key as handed to its owner, once: `vk_<id>_<secret>`, 238 bits of secret."""
    key_id = "".join(secrets.choice(_LOWER) for _ in range(12))
    return f"vk_{key_id}_{''.join(secrets.choice(_ALNUM) for _ in range(40))}"


def token_id(token: str) -> str | None:
    """The id inside a token, or None if it is not of a token's form."""
    match = _KEY.fullmatch(token)
    return match.group(1) if match else None


def token_sha256(token: str) -> str:
    """The digest that is stored. A plain hash suffices: the secret is random, not a password."""
    return hashlib.sha256(token.encode()).hexdigest()
