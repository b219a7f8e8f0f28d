"""JSON bodies: 400 for what is not JSON, 422 for JSON that is not what the call takes, every unknown field named."""

import re
from typing import Any, Final, TypeVar

import msgspec

from vulcan_contracts.problem import FieldError
from vulcan_contracts.strict import unknown_fields
from vulcan_gateway.domain.choices import choices
from vulcan_gateway.domain.refusals import Refusal

T = TypeVar("T")

_WHERE: Final = re.compile(r" - at (`key` in )?`\$\.?(?P<path>[^`]*)`$")
_MISSING: Final = re.compile(r"Object missing required field `(?P<name>[^`]+)`")

_NOT_ONE_OF: Final = ("Invalid enum value", "Invalid value")


def decode(body: bytes, declared: type[T], *, code: str = "invalid_body") -> T:
    """The body as `declared`.

    Raises:
        Refusal: `malformed_json`, or `code` with the fields that are wrong.
    """
    value = parse(body)
    try:
        decoded = msgspec.convert(value, declared)
    except msgspec.ValidationError as error:
        wrong = field_error(str(error), declared)
        raise Refusal(code, f"{wrong.field or 'The body'}: {wrong.message}.", errors=[wrong]) from error
    except RecursionError as error:
        raise _too_deep() from error
    if unknown := unknown_fields(value, declared):
        raise Refusal(code, f"{len(unknown)} unknown field(s).", errors=unknown)
    return decoded


def parse(body: bytes) -> Any:
    """The body as plain JSON.

    Raises:
        Refusal: `malformed_json`, with the byte where it goes wrong.
    """
    try:
        return msgspec.json.decode(body)
    except UnicodeDecodeError as error:
        raise Refusal("malformed_json", "The body holds bytes that are not UTF-8.") from error
    except msgspec.DecodeError as error:
        raise Refusal("malformed_json", f"{error}.") from error
    except RecursionError as error:
        raise _too_deep() from error


def _too_deep() -> Refusal:
    return Refusal("malformed_json", "The body is nested too deeply.")


def field_error(message: str, declared: Any) -> FieldError:
    """What msgspec says about one value, with the field's path taken out of the sentence and what it takes put in."""
    path = ""
    if (where := _WHERE.search(message)) is not None:
        path = where["path"]
        message = message[: where.start()] + (" as a name" if where[1] else "")
    if (missing := _MISSING.fullmatch(message)) is not None:
        return FieldError(field=f"{path}.{missing['name']}".lstrip("."), message="is required")
    message = message.replace("`", "")
    if message.startswith(_NOT_ONE_OF) and (known := choices(declared, path)):
        message = f"{message}; known here: {', '.join(known)}"
    return FieldError(field=path, message=message[:1].lower() + message[1:])
