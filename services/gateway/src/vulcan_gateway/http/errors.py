"""Everything that a handler may raise, as a problem document."""

from typing import Any

import msgspec
from litestar import Request, Response
from litestar.types import ExceptionHandlersMap

from vulcan_chassis.problem_handlers import exception_handlers, problem_response
from vulcan_chassis.problems import ProblemError
from vulcan_contracts.errors import DomainError
from vulcan_eventstore.errors import EventStoreUnavailableError, PayloadTooLargeError
from vulcan_gateway.db.pool import ProjectionUnavailableError
from vulcan_gateway.domain.refusals import STATUS, Refusal, unknown_workload
from vulcan_gateway.http.intake import ClientLeftError

Incoming = Request[Any, Any, Any]


def handlers() -> ExceptionHandlersMap:
    """For `Litestar(exception_handlers=...)`.

    The chassis answers a decoding error as the caller's fault; here bodies are decoded in one place, which refuses,
    so that any other decoding error is about stored data, and ours.
    """
    known = dict(exception_handlers())
    for mine in (msgspec.ValidationError, msgspec.DecodeError):
        known.pop(mine, None)
    known[Refusal] = _refusal
    known[DomainError] = _domain
    known[EventStoreUnavailableError] = _event_log
    known[PayloadTooLargeError] = _payload
    known[ProjectionUnavailableError] = _projection
    known[ClientLeftError] = _client_left
    return known


def _respond(request: Incoming, refusal: Refusal) -> Response[bytes]:
    problem = ProblemError(
        refusal.status,
        refusal.code,
        refusal.detail,
        hint=refusal.hint,
        errors=refusal.errors,
        headers=refusal.headers,
    )
    return problem_response(request, problem)


def _refusal(request: Incoming, error: Refusal) -> Response[bytes]:
    return _respond(request, error)


def _domain(request: Incoming, error: DomainError) -> Response[bytes]:
    if error.code == "not_found":
        return _respond(request, unknown_workload())
    code = error.code if error.code in STATUS else "illegal_transition"
    return _respond(request, Refusal(code, str(error)))


def _event_log(request: Incoming, _error: EventStoreUnavailableError) -> Response[bytes]:
    detail = "It did not answer in time; a submit may have been accepted or not."
    hint = (
        "Try again; with the same Idempotency-Key nothing runs twice. "
        "If it lasts: does nats-server answer, and has its disk room?"
    )
    return _respond(request, Refusal("event_log_unavailable", detail, hint=hint, retry_after_s=1))


def _payload(request: Incoming, _error: PayloadTooLargeError) -> Response[bytes]:
    return _respond(request, Refusal("body_too_large", "Written out in full it is larger than an event may be."))


def _projection(request: Incoming, _error: ProjectionUnavailableError) -> Response[bytes]:
    hint = "Everything that names a workload works; lists, searches and statistics come back with Postgres."
    return _respond(request, Refusal("projection_unavailable", "Postgres is away.", hint=hint, retry_after_s=2))


def _client_left(request: Incoming, _error: ClientLeftError) -> Response[bytes]:
    return _respond(request, Refusal("bad_request", "The body ended before its end."))
