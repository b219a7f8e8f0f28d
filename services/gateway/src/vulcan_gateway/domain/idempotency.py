"""Telling a repeated submit from a different one under the same key."""

import hashlib
import re
from typing import Final

import msgspec

from vulcan_contracts.ids import idempotent_workload_id, new_workload_id
from vulcan_contracts.spec import Spec
from vulcan_gateway.domain.refusals import Refusal

_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")


def workload_id(tenant: str, key: str | None) -> str:
    """The id that a submit gets: a fresh one, or the one that its Idempotency-Key names.

    Raises:
        Refusal: `invalid_idempotency_key`.
    """
    if key is None:
        return new_workload_id()
    if not _KEY.fullmatch(key):
        raise Refusal("invalid_idempotency_key", "Use 1 to 255 visible ASCII characters, without spaces.")
    return idempotent_workload_id(tenant, key)


def fingerprint(spec: Spec, replay_of: str | None = None) -> str:
    """SHA-256 over what is asked for, the same for every way of writing it."""
    canonical = msgspec.json.encode((spec, replay_of), order="sorted")
    return hashlib.sha256(canonical).hexdigest()
