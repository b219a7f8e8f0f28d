"""The API keys, mirrored in memory by every gateway, so that a revoked key stops working everywhere at once."""

import asyncio
import re
import time
from collections import OrderedDict
from pathlib import Path
from typing import Final

from vulcan_contracts.clock import utc_now
from vulcan_contracts.tenants import DEFAULT_TENANT, ApiKey, Role, new_token, token_id, token_sha256
from vulcan_eventstore.buckets import Bucket, Mirror
from vulcan_gateway.permits import Permit, Permits

_KEY_ID: Final = re.compile(r"[0-9a-z]{12}")
_UNKNOWN_KEPT: Final = 10_000
_UNKNOWN_FOR_S: Final = 2.0
_LOOK_UPS: Final = 16
_REVOKED_FOR_S: Final = 60.0
"""Longer than any mirror lags; from then on the mirror alone says it."""


class BootstrapKeyError(Exception):
    """The file with the first admin key cannot be used."""


class Keyring:
    """Finds, makes and revokes keys."""

    def __init__(self, bucket: Bucket[ApiKey], mirror: Mirror[ApiKey], permits: Permits) -> None:
        self._bucket = bucket
        self._mirror = mirror
        self._permits = permits
        self._unknown: OrderedDict[str, float] = OrderedDict()
        self._revoked: dict[str, float] = {}
        self._look_ups = asyncio.Semaphore(_LOOK_UPS)

    async def authenticate(self, token: str) -> ApiKey | None:
        """The key that this token is, or None.

        Raises:
            EventStoreUnavailableError: the mirror does not have it and NATS is away.
        """
        key_id = token_id(token)
        if key_id is None or self._is_revoked(key_id):
            return None
        key = self._mirror.get(key_id)
        if key is None:
            key = await self._look_up(key_id)
        return key if key is not None and key.matches(token) else None

    def _is_revoked(self, key_id: str) -> bool:
        """True if it was revoked here and the mirror may not know."""
        until = self._revoked.get(key_id)
        return until is not None and until > time.monotonic()

    def permit(self, key: ApiKey) -> Permit:
        """What says whether a key that was let in is still good: asked before each piece of a stream."""
        return self._permits.of(key.id, valid=not self._is_revoked(key.id))

    async def _look_up(self, key_id: str) -> ApiKey | None:
        """A key made a moment ago may not be in the mirror; one that is nowhere is not asked for again soon."""
        now = time.monotonic()
        if self._unknown.get(key_id, 0.0) > now:
            return None
        async with self._look_ups:  # strangers who guess ids wait for one another, not the server for them
            found = await self._stored(key_id)
        if found is None:
            self._unknown[key_id] = now + _UNKNOWN_FOR_S
            self._unknown.move_to_end(key_id)
            while len(self._unknown) > _UNKNOWN_KEPT:
                self._unknown.popitem(last=False)
        return found

    async def _stored(self, key_id: str) -> ApiKey | None:
        entry = await self._bucket.get(key_id)
        return None if entry is None else entry.value

    def keys(self, tenant: str) -> list[ApiKey]:
        """The keys of one tenant, oldest first."""
        found = [key for key in self._mirror.values.values() if key.tenant == tenant and not self._is_revoked(key.id)]
        return sorted(found, key=lambda key: (key.created_at, key.id))

    async def find(self, key_id: str) -> ApiKey | None:
        """One key by its id."""
        if self._is_revoked(key_id) or not _KEY_ID.fullmatch(key_id):
            return None
        return self._mirror.get(key_id) or await self._stored(key_id)

    async def make(self, tenant: str, role: Role, name: str) -> tuple[ApiKey, str]:
        """A new key and its token, which is nowhere stored.

        Raises:
            EventStoreUnavailableError: NATS is away.
        """
        token = new_token()
        key = ApiKey(
            id=token_id(token) or "",
            tenant=tenant,
            role=role,
            secret_sha256=token_sha256(token),
            created_at=utc_now(),
            name=name,
        )
        await self._bucket.create(key.id, key)
        return key, token

    async def revoke(self, key_id: str) -> None:
        """End a key. Here it ends at once; elsewhere as soon as the mirrors hear of it."""
        await self._bucket.delete(key_id)
        self._revoked = {known: until for known, until in self._revoked.items() if until > time.monotonic()}
        self._revoked[key_id] = time.monotonic() + _REVOKED_FOR_S
        self._permits.changed(key_id, None)

    async def bootstrap(self, file: Path) -> None:
        """Make the key in this file an admin of the default tenant, unless it is already.

        Raises:
            BootstrapKeyError: the file cannot be read or holds no key.
            EventStoreUnavailableError: NATS is away.
        """
        try:
            token = (await asyncio.to_thread(file.read_text, "ascii")).strip()
        except (OSError, ValueError) as error:
            raise BootstrapKeyError(f"cannot read the bootstrap key from {file}: {error}") from error
        key_id = token_id(token)
        if key_id is None:
            raise BootstrapKeyError(f"{file} does not hold a key of the form vk_<12 characters>_<40 characters>")
        known = await self._stored(key_id)
        if known is not None and known.matches(token) and known.role == "admin" and known.tenant == DEFAULT_TENANT:
            return
        key = ApiKey(
            id=key_id,
            tenant=DEFAULT_TENANT,
            role="admin",
            secret_sha256=token_sha256(token),
            created_at=utc_now(),
            name="bootstrap",
        )
        await self._bucket.put(key_id, key)
