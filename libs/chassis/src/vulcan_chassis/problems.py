"""Every error of an HTTP API as `application/problem+json` (RFC 9457), whatever raised it.

Raise `ProblemError` for what the API knows; give Litestar `exception_handlers()` for that and all else: wrong request
bodies, unknown routes, and what nobody expected, which is logged with its traceback and answered without it.
"""

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.types import ExceptionHandlersMap

from vulcan_chassis import logs
from vulcan_chassis.request_context import request_id
from vulcan_contracts.problem import MEDIA_TYPE, TYPE_PREFIX, FieldError, Problem

_CODES: Final = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    409: "conflict",
    413: "body_too_large",
    415: "unsupported_media_type",
    422: "invalid_request",
    429: "too_many_requests",
    503: "unavailable",
}
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


def exception_handlers() -> ExceptionHandlersMap:
    """The handlers to give to `Litestar(exception_handlers=...)`."""
    return {
        ProblemError: _answer_problem,
        msgspec.ValidationError: _answer_invalid,
        msgspec.DecodeError: _answer_malformed,
        HTTPException: _answer_http,
        Exception: _answer_unexpected,
    }


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


def problem_response(request: Request[Any, Any, Any], error: ProblemError) -> Response[bytes]:
    """The answer to a request that ended in this error."""
    known = request_id(request.scope)
    problem = error.to_problem(instance=request.scope["path"], request_id=known)
    return Response(
        content=msgspec.json.encode(problem),
        status_code=error.status,
        media_type=MEDIA_TYPE,
        headers={**error.headers, "X-Request-Id": known},
    )


def _answer_problem(request: Request[Any, Any, Any], error: ProblemError) -> Response[bytes]:
    return problem_response(request, error)


def _answer_invalid(request: Request[Any, Any, Any], error: msgspec.ValidationError) -> Response[bytes]:
    return problem_response(request, ProblemError.invalid([field_error(error)]))


def _answer_malformed(request: Request[Any, Any, Any], error: msgspec.DecodeError) -> Response[bytes]:
    return problem_response(request, ProblemError(400, "malformed_body", f"The body cannot be read: {error}."))


def _answer_http(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    if isinstance(error, ValidationException):
        return problem_response(request, ProblemError.invalid(_litestar_errors(error)))
    if error.status_code >= 500 and error.status_code != 503:
        return _answer_unexpected(request, error)
    if isinstance(error.__cause__, msgspec.ValidationError):
        return _answer_invalid(request, error.__cause__)
    code = _CODES.get(error.status_code, "bad_request")
    detail = error.detail
    if error.status_code == 404:
        detail = "There is nothing at this address."
    elif error.status_code == 405:
        detail = f"{request.method} is not possible here."
    return problem_response(request, ProblemError(error.status_code, code, detail, headers=error.headers))


def _litestar_errors(error: ValidationException) -> list[FieldError]:
    found = error.extra if isinstance(error.extra, list) else []
    errors = [
        parse_validation(str(item.get("message", "")), _parameter(str(item.get("key", ""))))
        for item in found
        if isinstance(item, dict)
    ]
    return errors or [FieldError(field="", message=error.detail)]


def _parameter(key: str) -> str:
    return "" if key in ("data", "body") else key


def _answer_unexpected(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    logs.get().error("request failed", method=request.method, path=request.scope["path"], exc_info=error)
    problem = ProblemError(
        500,
        "internal_error",
        f"{HTTPStatus(500).phrase}. The log of the service has the details under this request_id.",
    )
    return problem_response(request, problem)
