"""Which values a field takes where it takes only some, so that a refusal can name them."""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final

import msgspec.inspect as inspect

_STEPS: Final = re.compile(r"\[[^\]]*\]|[^.\[\]]+")


def choices(declared: Any, path: str) -> list[str]:
    """The values of the field that `path`, as in `network.egress` or `state[0]`, leads to; none if it takes any."""
    kinds = [_type_info(declared)]
    steps = _STEPS.findall(path)
    for step in steps:
        kinds = [inner for kind in kinds for inner in _inside(kind, step)]
    return sorted({value for kind in kinds for value in _values(kind)})


@lru_cache(maxsize=64)
def _type_info(declared: Any) -> inspect.Type:
    return inspect.type_info(declared)


def _plain(kind: inspect.Type) -> Iterator[inspect.Type]:
    """The kind without what surrounds it; all members of a union."""
    if isinstance(kind, inspect.Metadata):
        yield from _plain(kind.type)
    elif isinstance(kind, inspect.UnionType):
        for member in kind.types:
            yield from _plain(member)
    else:
        yield kind


def _inside(kind: inspect.Type, step: str) -> Iterator[inspect.Type]:
    for plain in _plain(kind):
        if isinstance(plain, inspect.ListType):
            yield plain.item_type
        elif isinstance(plain, inspect.DictType):
            yield plain.value_type
        elif isinstance(plain, inspect.StructType):
            yield from (field.type for field in plain.fields if field.encode_name == step)
            if plain.tag_field == step:
                yield inspect.LiteralType((plain.tag,))


def _values(kind: inspect.Type) -> Iterator[str]:
    for plain in _plain(kind):
        if isinstance(plain, inspect.LiteralType):
            yield from map(str, plain.values)
        elif isinstance(plain, inspect.EnumType):
            yield from (str(member.value) for member in plain.cls)
