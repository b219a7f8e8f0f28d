"""Fields that a structure does not know. Stored data is read tolerantly; requests are not."""

import difflib
import types
from collections.abc import Iterator
from functools import cache
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec
from msgspec import Struct

from vulcan_contracts.problem import FieldError


def unknown_fields(value: Any, declared: Any) -> list[FieldError]:
    """Every field in decoded JSON that the declared type has no place for, with the nearest name it has.

    Args:
        value: plain decoded JSON (dict, list, str ...), already known to convert to `declared`.
        declared: a msgspec Struct or any annotation over Structs.
    """
    return list(_walk(value, declared, ""))


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
