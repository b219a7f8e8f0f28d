"""Every error of an HTTP API is a problem document (RFC 9457): raise `ProblemError` for what the API knows.

Without a framework, so that what only serves health and metrics starts without one; `problem_handlers` is for Litestar.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from vulcan_contracts.problem import TYPE_PREFIX, FieldError, Problem

_AT: Final = re.compile(r"^(?P<message>.*?)(?: - at `(?P<key>key in )?(?P<path>\$?[^`]*)`)?$", re.DOTALL)
_QUOTED: Final = re.compile(r"^Object (?:missing required|contains unknown) field `(?P<field>[^`]*)`$")


class ProblemError(Exception):
    """An error with its answer: raise it anywhere below a request handler."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str = "",
        *,
        hint: str = "",
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{status} {code}: {detail}")
        self.status = status
        self.code = code
        self.detail = detail
        self.hint = hint
        self.errors = list(errors)
        self.headers = dict(headers or {})

    @classmethod
    def invalid(cls, errors: Sequence[FieldError], detail: str = "The request is not valid.") -> "ProblemError":
        """422 `invalid_request`, with what is wrong with each field."""
        return cls(422, "invalid_request", detail, errors=errors)

    def to_problem(self, *, instance: str = "", request_id: str = "") -> Problem:
        """The body of the answer."""
        return Problem(
            type=TYPE_PREFIX + self.code,
            title=self.code.replace("_", " ").capitalize(),
            status=self.status,
            code=self.code,
            detail=self.detail,
            hint=self.hint,
            instance=instance,
            request_id=request_id,
            errors=self.errors,
        )


def field_error(error: msgspec.ValidationError) -> FieldError:
    """What msgspec says, with the field's path as a user writes it: `$.resources.cpus` is `resources.cpus`."""
    return parse_validation(str(error))


def parse_validation(text: str, prefix: str = "") -> FieldError:
    """The same from the message alone; `prefix` is a path that the message does not have."""
    match = _AT.match(text)
    message, path = (match["message"], match["path"] or "") if match else (text, "")
    path = path.removeprefix("$").removeprefix(".")
    named = _QUOTED.match(message)
    if named:
        path = f"{path}.{named['field']}" if path else named["field"]
        message = "is required" if "missing" in message else "is not a known field"
    return FieldError(field=".".join(part for part in (prefix, path) if part), message=message)
