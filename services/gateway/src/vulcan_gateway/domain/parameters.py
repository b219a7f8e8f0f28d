"""Query parameters: each call declares a Struct, and a request that does not fit it is refused by name."""

import re
from collections.abc import Iterable
from datetime import datetime
from functools import cache
from typing import Annotated, Any, Final, TypeVar, get_args, get_origin

import msgspec
from msgspec import Struct

from vulcan_contracts.problem import FieldError
from vulcan_contracts.strict import unknown_fields
from vulcan_gateway.domain.bodies import field_error
from vulcan_gateway.domain.refusals import Refusal

T = TypeVar("T", bound=Struct)

_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:?\d\d)")
"""How a time is written; msgspec would also read a bare number as one."""


def read(pairs: Iterable[tuple[str, str]], declared: type[T]) -> T:
    """The parameters as `declared`; fields of type list may be given several times.

    Raises:
        Refusal: `invalid_parameter`, with every parameter that is unknown or doubled, or the first that is wrong.
    """
    lists, times = _lists(declared), _times(declared)
    values: dict[str, Any] = {}
    wrong: list[FieldError] = []
    for name, value in pairs:
        if name in lists:
            values.setdefault(name, []).append(value)
        elif name in values:
            wrong.append(FieldError(field=name, message="is given more than once"))
        else:
            values[name] = value
    wrong += unknown_fields(values, declared)
    wrong += [
        FieldError(field=name, message="is not a time, as in 2026-01-31T09:00:00Z")
        for name in times
        if name in values and not _TIME.fullmatch(values[name])
    ]
    if wrong:
        raise _refusal(wrong)
    try:
        read_ones = msgspec.convert(values, declared, strict=False)
    except msgspec.ValidationError as error:
        raise _refusal([field_error(str(error), declared)]) from error
    # Reading numbers from text, msgspec also reads `null`; a parameter that is given has a value.
    if empty := [name for name in values if getattr(read_ones, name) is None]:
        raise _refusal([FieldError(field=name, message="has no value") for name in empty])
    return read_ones


@cache
def none(declared: type[T]) -> T:
    """The parameters of a call that gives none."""
    return read((), declared)


@cache
def _lists(declared: type[Struct]) -> frozenset[str]:
    return frozenset(field.encode_name for field in msgspec.structs.fields(declared) if _is_list(field.type))


@cache
def _times(declared: type[Struct]) -> tuple[str, ...]:
    return tuple(field.encode_name for field in msgspec.structs.fields(declared) if _is_time(field.type))


def _is_list(declared: Any) -> bool:
    origin = get_origin(declared)
    return _is_list(get_args(declared)[0]) if origin is Annotated else origin is list


def _is_time(declared: Any) -> bool:
    return declared is datetime or any(_is_time(part) for part in get_args(declared))


def _refusal(wrong: list[FieldError]) -> Refusal:
    return Refusal("invalid_parameter", f"{wrong[0].field}: {wrong[0].message}.", errors=wrong)
