"""Why a request is refused: a closed catalogue, so that the API's document can list what each call may answer."""

from typing import Final

from vulcan_contracts.problem import FieldError

STATUS: Final[dict[str, int]] = {
    "bad_request": 400,
    "malformed_json": 400,
    "malformed_multipart": 400,
    "invalid_parameter": 400,
    "invalid_cursor": 400,
    "invalid_idempotency_key": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "request_timeout": 408,
    "illegal_transition": 409,
    "body_too_large": 413,
    "unsupported_media_type": 415,
    "invalid_body": 422,
    "invalid_spec": 422,
    "invalid_archive": 422,
    "idempotency_mismatch": 422,
    "quota_exceeded": 429,
    "too_many_requests": 429,
    "internal_error": 500,
    "backend_unavailable": 503,
    "projection_unavailable": 503,
    "event_log_unavailable": 503,
}
"""The stable codes, each with the one status it is answered with."""


class Refusal(Exception):
    """A request that is answered with a problem document. `code` is one of `STATUS`."""

    def __init__(
        self,
        code: str,
        detail: str = "",
        *,
        hint: str = "",
        errors: list[FieldError] | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(f"{code}: {detail}")
        self.status = STATUS[code]
        self.code = code
        self.detail = detail
        self.hint = hint
        self.errors = errors or []
        self.headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}


def unknown_workload() -> Refusal:
    """The one answer for a workload that does not exist, is not the caller's, or cannot be by its id."""
    return Refusal("not_found", "There is no such workload.")
