"""Settings from the environment: one msgspec Struct per service, read once at start, every mistake told at once.

Field `ops_listen` is `VULCAN_OPS_LISTEN`; the fields of a nested struct in field `nats` are `VULCAN_NATS_...`.
Any value may be given by file instead, in `<variable>_FILE`, so that a secret need not stand in the environment.
An empty variable counts as not set. Values never appear in an error.
"""

import os
from collections.abc import Iterator, Mapping
from math import isfinite
from pathlib import Path
from typing import Any, Final, TypeGuard, TypeVar, get_origin

import msgspec
from msgspec import NODEFAULT, Struct

from vulcan_chassis.accepts import accepts

PREFIX: Final = "VULCAN_"
MAX_FILE_BYTES: Final = 65_536

T = TypeVar("T", bound=Struct)


class SettingsError(Exception):
    """The environment does not hold valid settings. `problems` has a line for each variable that is wrong."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def load(settings: type[T], environ: Mapping[str, str] | None = None, *, prefix: str = PREFIX) -> T:
    """Read `settings` from the environment; fields without a variable keep their default.

    Raises:
        SettingsError: variables are missing or wrong; all of them are named.
    """
    problems: list[str] = []
    loaded = _struct(settings, os.environ if environ is None else environ, prefix, problems)
    if problems or loaded is None:
        raise SettingsError(problems)
    return loaded


def variables(settings: type[Struct], *, prefix: str = PREFIX) -> Iterator[tuple[str, msgspec.structs.FieldInfo]]:
    """Every variable that `settings` reads, with its field, nested structs included."""
    for field in msgspec.structs.fields(settings):
        name = prefix + field.name.upper()
        if _is_struct(field.type):
            yield from variables(field.type, prefix=f"{name}_")
        else:
            yield name, field


def _struct(settings: type[T], environ: Mapping[str, str], prefix: str, problems: list[str]) -> T | None:
    fields = msgspec.structs.fields(settings)
    own_names = {prefix + field.name.upper() for field in fields}
    before = len(problems)
    values: dict[str, Any] = {}
    for field in fields:
        name = prefix + field.name.upper()
        if _is_struct(field.type):
            values[field.name] = _struct(field.type, environ, f"{name}_", problems)
            continue
        try:
            text = _text(name, environ, by_file=f"{name}_FILE" not in own_names)
            if text is not None:
                values[field.name] = _value(text, field.type)
            elif field.default is NODEFAULT and field.default_factory is NODEFAULT:
                problems.append(f"{name} is not set; it takes {accepts(field.type)}")
        except _FileError as error:
            problems.append(str(error))
        except ValueError:
            problems.append(f"{name} is not valid; it takes {accepts(field.type)}")
    if len(problems) > before:
        return None
    try:
        return settings(**values)
    except ValueError as error:  # a rule over several fields, in the struct's __post_init__
        problems.append(f"{prefix}*: {error}")
        return None


def _is_struct(kind: Any) -> TypeGuard[type[Struct]]:
    return isinstance(kind, type) and issubclass(kind, Struct)


class _FileError(Exception):
    """A `_FILE` variable does not lead to a value."""


def _text(name: str, environ: Mapping[str, str], *, by_file: bool) -> str | None:
    text = environ.get(name) or None
    path = (environ.get(f"{name}_FILE") or None) if by_file else None
    if path is None:
        return text
    if text is not None:
        raise _FileError(f"{name} and {name}_FILE are both set; set one")
    try:
        with Path(path).open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise _FileError(f"{name}_FILE names a file longer than {MAX_FILE_BYTES} bytes")
        return content.decode().rstrip("\r\n") or None
    except OSError as error:
        raise _FileError(f"{name}_FILE cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise _FileError(f"{name}_FILE is not UTF-8 text") from error


def _value(text: str, kind: Any) -> Any:
    raw: Any = text
    if get_origin(kind) in (list, tuple, set, frozenset):
        raw = [part.strip() for part in text.split(",") if part.strip()]
    value = msgspec.convert(raw, kind, strict=False, dec_hook=_path)
    if isinstance(value, float) and not isfinite(value):
        raise ValueError("not a finite number")
    return value


def _path(kind: type, value: Any) -> Any:
    if kind is Path:
        try:
            return Path(value).expanduser()
        except RuntimeError as error:
            raise ValueError("names the home of a user who is not known") from error
    raise TypeError(f"a setting cannot be a {kind.__name__}")
