"""Problem details, RFC 9457: the one form that every error of the API takes."""

from typing import Final

from msgspec import Struct

MEDIA_TYPE: Final = "application/problem+json"
TYPE_PREFIX: Final = "urn:vulcan:problem:"


class FieldError(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is wrong with one field. `field` is a path as in `resources.memory_mb` or `files[a.js]`."""

    field: str
    message: str


class Problem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An error as the API answers it. `type` is `urn:vulcan:problem:<code>`; `code` is stable; `hint` says what now."""

    type: str
    title: str
    status: int
    code: str
    detail: str = ""
    hint: str = ""
    instance: str = ""
    request_id: str = ""
    errors: list[FieldError] = []
