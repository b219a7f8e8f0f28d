"""Identifiers: short, sortable by time of creation, safe as one NATS subject token and in a URL.

A workload, an event and a request carry a ULID (48 bits of milliseconds, 80 random bits, Crockford base32,
https://github.com/ulid/spec), in lower case behind a prefix that names the kind.
"""

import hashlib
import os
import re
import time
from typing import Annotated, Final

from msgspec import Meta

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_ULID_CHARS: Final = 26

WORKLOAD_ID: Final = re.compile(r"wl_[0-9a-hjkmnp-tv-z]{26}")
TENANT_ID: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?")
NodeId = Annotated[str, Meta(pattern=r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)?$")]
"""A node's id as a setting; empty: made of the host's name."""


_PAIRS: Final = [high + low for high in _ALPHABET for low in _ALPHABET]
"""Two characters for each ten bits: every request makes several ids."""


def _base32(value: int) -> str:
    return "".join([_PAIRS[(value >> shift) & 1023] for shift in range(10 * (_ULID_CHARS // 2 - 1), -1, -10)])


def ulid() -> str:
    """A new ULID, 26 lower-case characters."""
    millis = time.time_ns() // 1_000_000
    return _base32((millis << 80) | int.from_bytes(os.urandom(10)))


def new_workload_id() -> str:
    """A fresh workload id, `wl_` and a ULID."""
    return f"wl_{ulid()}"


def idempotent_workload_id(tenant: str, idempotency_key: str) -> str:
    """The workload id that a tenant's idempotency key names, always the same one.

    The id is a hash of both, so that the event log itself, with no table beside it, is what makes a repeated
    submit find the first one: both append to the same subject and the fence lets one through.
    """
    digest = hashlib.sha256(f"{tenant}\x00{idempotency_key}".encode()).digest()
    return f"wl_{_base32(int.from_bytes(digest[:16]))}"


def new_event_id() -> str:
    """A fresh event id, `ev_` and a ULID; also the message id that makes an append idempotent."""
    return f"ev_{ulid()}"


def new_request_id() -> str:
    """A fresh request id, `rq_` and a ULID."""
    return f"rq_{ulid()}"


def new_incarnation() -> str:
    """A fresh id for one life of an executor process; it tells a restarted executor from the one before."""
    return f"in_{ulid()}"
