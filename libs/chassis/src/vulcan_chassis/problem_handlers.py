"""Litestar's exception handlers: whatever was raised is answered as `application/problem+json`.

Also wrong request bodies, unknown routes, and what nobody expected, which is logged with its traceback and answered
without it.
"""

from http import HTTPStatus
from typing import Any, Final

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.types import ExceptionHandlersMap

from vulcan_chassis import logs
from vulcan_chassis.problems import ProblemError, field_error, parse_validation
from vulcan_chassis.request_context import request_id
from vulcan_contracts.problem import MEDIA_TYPE, FieldError

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


def exception_handlers() -> ExceptionHandlersMap:
    """The handlers to give to `Litestar(exception_handlers=...)`."""
    return {
        ProblemError: _answer_problem,
        msgspec.ValidationError: _answer_invalid,
        msgspec.DecodeError: _answer_malformed,
        HTTPException: _answer_http,
        Exception: _answer_unexpected,
    }


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
