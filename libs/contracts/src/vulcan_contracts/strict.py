"""Fields that a structure does not know. Stored data is read tolerantly; requests are not."""

import difflib
import types
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec
from msgspec import Struct

from vulcan_contracts.problem import FieldError

Check = Callable[[Any], bool]


def unknown_fields(value: Any, declared: Any) -> list[FieldError]:
    """Every field in decoded JSON that the declared type has no place for, with the nearest name it has.

    Args:
        value: plain decoded JSON (dict, list, str ...), already known to convert to `declared`.
        declared: a msgspec Struct or any annotation over Structs.
    """
    known = _check(declared)
    return [] if known is None or known(value) else list(_walk(value, declared, ""))


def _check(declared: Any) -> Check | None:
    """What says whether a value has only known fields; None where there can be no fields. Made once for each struct:
    nearly every request is as it should be, and that is to be known without going into words."""
    origin = get_origin(declared)
    if origin is Annotated:
        return _check(get_args(declared)[0])
    if origin in (Union, types.UnionType):
        members = get_args(declared)
        checks = {member: check for member in members if (check := _check(member)) is not None}
        return partial(_union_is_known, members, checks) if checks else None
    if origin in (list, dict):
        element = _check(get_args(declared)[-1])
        return None if element is None else partial(_all_are_known, origin, element)
    return partial(_struct_is_known, declared) if isinstance(declared, type) and issubclass(declared, Struct) else None


def _union_is_known(members: tuple[Any, ...], checks: dict[Any, Check], value: Any) -> bool:
    check = checks.get(_member(value, members))
    return check is None or check(value)


def _all_are_known(kind: type[list[Any]] | type[dict[str, Any]], check: Check, value: Any) -> bool:
    if not isinstance(value, kind):
        return True
    return all(map(check, value.values() if isinstance(value, dict) else value))


def _struct_is_known(declared: type[Struct], value: Any) -> bool:
    if not isinstance(value, dict):
        return True
    checks = _checks(declared)
    for name, element in value.items():
        check = checks.get(name, _unknown)
        if check is not None and not check(element):
            return False
    return True


def _unknown(_: Any) -> bool:
    return False


@cache
def _checks(declared: type[Struct]) -> dict[str, Check | None]:
    return {name: _check(kind) for name, kind in _fields(declared).items()}


def _walk(value: Any, declared: Any, path: str) -> Iterator[FieldError]:
    origin = get_origin(declared)
    if origin is Annotated:
        yield from _walk(value, get_args(declared)[0], path)
    elif origin in (Union, types.UnionType):
        chosen = _member(value, get_args(declared))
        if chosen is not None:
            yield from _walk(value, chosen, path)
    elif origin is list and isinstance(value, list):
        (item,) = get_args(declared)
        for index, element in enumerate(value):
            yield from _walk(element, item, f"{path}[{index}]")
    elif origin is dict and isinstance(value, dict):
        item = get_args(declared)[1]
        for key, element in value.items():
            yield from _walk(element, item, f"{path}[{key}]")
    elif isinstance(declared, type) and issubclass(declared, Struct) and isinstance(value, dict):
        yield from _walk_struct(value, declared, path)


def _walk_struct(value: dict[str, Any], declared: type[Struct], path: str) -> Iterator[FieldError]:
    known = _fields(declared)
    for name, element in value.items():
        where = f"{path}.{name}" if path else name
        if name in known:
            yield from _walk(element, known[name], where)
        else:
            near = difflib.get_close_matches(name, known, n=1)
            known_names = ", ".join(sorted(known)) or "none"
            advice = f"did you mean {near[0]}?" if near else f"known here: {known_names}"
            yield FieldError(field=where, message=f"unknown field; {advice}")


@cache
def _fields(declared: type[Struct]) -> dict[str, Any]:
    """The names that a struct has in JSON, its tag among them, and their types. Looked up once: it takes its time."""
    config = declared.__struct_config__
    known = {field.encode_name: field.type for field in msgspec.structs.fields(declared)}
    if config.tag is not None and config.tag_field is not None:
        known[config.tag_field] = Any
    return known


def _member(value: Any, members: tuple[Any, ...]) -> Any:
    """The member of a union that this value was decoded as: by tag where there are several structs."""
    if isinstance(value, list):
        return next((m for m in members if get_origin(m) is list), None)
    if not isinstance(value, dict):
        return None
    structs = _structs(members)
    for member, tag_field, tag in structs:
        if tag_field is not None and value.get(tag_field) == tag:
            return member
    return structs[0][0] if len(structs) == 1 else None


@cache
def _structs(members: tuple[Any, ...]) -> list[tuple[type[Struct], str | None, Any]]:
    """The structs among a union's members, with the fields that tell them apart and what stands there."""
    structs = [m for m in members if isinstance(m, type) and issubclass(m, Struct)]
    return [(m, m.__struct_config__.tag_field, m.__struct_config__.tag) for m in structs]
