"""What a setting accepts, in words, derived from its type, so that an error can say it without a second list."""

from collections.abc import Callable
from typing import Any, Final

import msgspec.inspect as inspect
from msgspec.inspect import (
    BoolType,
    CustomType,
    EnumType,
    FloatType,
    IntType,
    ListType,
    LiteralType,
    Metadata,
    NoneType,
    SetType,
    StrType,
    Type,
    UnionType,
    VarTupleType,
)


def accepts(kind: Any) -> str:
    """Describe a type's values, as in `a whole number from 1 to 5`; a `Meta(description=...)` speaks for itself."""
    return _describe(inspect.type_info(kind))


def _describe(info: Type) -> str:
    if isinstance(info, Metadata):
        said = (info.extra_json_schema or {}).get("description")
        return str(said) if said else _describe(info.type)
    for cls, describe in _DESCRIBERS.items():
        if isinstance(info, cls):
            return describe(info)
    return "a value"


def _number(what: str) -> Callable[[Any], str]:
    def describe(info: Any) -> str:
        low = info.ge if info.ge is not None else info.gt
        high = info.le if info.le is not None else info.lt
        above = "from" if info.ge is not None else "above"
        below = "to" if info.le is not None else "below"
        if low is not None and high is not None:
            return f"{what} {above} {low:g} {below} {high:g}"
        if low is not None:
            return f"{what} {'not below' if info.ge is not None else 'above'} {low:g}"
        if high is not None:
            return f"{what} {'not above' if info.le is not None else 'below'} {high:g}"
        return what

    return describe


def _text(info: Any) -> str:
    if info.pattern is not None:
        return f"text that matches {info.pattern}"
    return "text" if info.max_length is None else f"text of at most {info.max_length} characters"


def _one_of(values: list[Any]) -> str:
    return "one of " + ", ".join(str(value) for value in values)


def _union(info: Any) -> str:
    return " or ".join(_describe(part) for part in info.types if not isinstance(part, NoneType))


_DESCRIBERS: Final[dict[type[Type], Callable[[Any], str]]] = {
    BoolType: lambda _: "true or false",
    IntType: _number("a whole number"),
    FloatType: _number("a number"),
    StrType: _text,
    LiteralType: lambda info: _one_of(list(info.values)),
    EnumType: lambda info: _one_of([member.value for member in info.cls]),
    ListType: lambda info: f"a list with commas between, each {_describe(info.item_type)}",
    SetType: lambda info: f"a list with commas between, each {_describe(info.item_type)}",
    VarTupleType: lambda info: f"a list with commas between, each {_describe(info.item_type)}",
    UnionType: _union,
    CustomType: lambda info: "a path" if info.cls.__name__ == "Path" else "a value",
}
