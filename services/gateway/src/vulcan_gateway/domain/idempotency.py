"""Telling a repeated submit from a different one under the same key."""

import hashlib
import re
from functools import cache
from typing import Any, Final

import msgspec
from msgspec import NODEFAULT, Struct

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
    canonical = msgspec.json.encode([_canonical(spec), replay_of], order="sorted")
    return hashlib.sha256(canonical).hexdigest()


def _canonical(value: Any) -> Any:
    """Without what is as it would be if it were left out, so that a later release's new fields change nothing."""
    if isinstance(value, Struct):
        fields = ((name, getattr(value, name), default) for name, default in _fields(type(value)))
        named = {name: _canonical(current) for name, current, default in fields if current != default}
        return named if value.__struct_config__.tag is None else {**named, "type": value.__struct_config__.tag}
    return value


@cache
def _fields(declared: type[Struct]) -> list[tuple[str, Any]]:
    return [(field.name, _default(field)) for field in msgspec.structs.fields(declared)]


def _default(field: msgspec.structs.FieldInfo) -> Any:
    return field.default if field.default_factory is NODEFAULT else field.default_factory()
