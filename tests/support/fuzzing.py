"""What schemathesis does besides, when it fuzzes the API: it runs in a process of its own and loads this module."""

import itertools
import os
from typing import Any

import schemathesis

_ENDED = os.environ["FUZZ_WORKLOADS"].split()
"""Workloads that are over, to be read where an unknown one would only be not found."""
_OWN_KEY = os.environ["FUZZ_KEY_ID"]
"""The key that the fuzzer uses: it would otherwise find it in a list one day, and revoke it."""
_ARTIFACT = "a/b.txt"
"""What the first of them left, and the second did not."""
_some = itertools.cycle(_ENDED)
_turns = itertools.count()

_RULES_ACROSS_FIELDS = {"invalid_spec", "invalid_body", "invalid_archive", "malformed_multipart"}
_RIGHT_ELSEWHERE = {"invalid_cursor", "idempotency_mismatch"}
_OF_THE_PLACE = {"not_found", "illegal_transition", "quota_exceeded", "too_many_requests", "body_too_large"}
_MAY_BE_AWAY = "backend_unavailable"
_LONGEST_WAIT_S = 0.3
_LONGEST_RUN_S = 1.0
_MAX_TIMEOUT_S = 86_400


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: schemathesis.Case[Any], kwargs: dict[str, Any]) -> None:
    """Bound what a call may cost, and let most of those that are right reach something."""
    if case.path_parameters.get("key_id") == _OWN_KEY:
        case.path_parameters["key_id"] = _OWN_KEY[::-1]
    if any(parameter.name == "wait" for parameter in case.operation.query):
        wait = case.query.get("wait", _LONGEST_WAIT_S)
        case.query["wait"] = min(float(wait), _LONGEST_WAIT_S) if _is_number(wait) else wait
    body = case.body if isinstance(case.body, dict) else {}
    timeout_s: Any = body.get("timeout_s")
    if _is_number(timeout_s) and _LONGEST_RUN_S < timeout_s <= _MAX_TIMEOUT_S:
        body["timeout_s"] = _LONGEST_RUN_S
    if case.meta is None or case.meta.generation.mode.is_negative:
        return
    if isinstance(source := body.get("source"), dict) and source.get("type") == "inline":
        body["runtime"], body["isolation"] = "javascript", "auto"
    names = case.path_parameters
    if case.method == "GET" and "workload_id" in names and _is_alone(case) and next(_turns) % 4:
        names["workload_id"] = next(_some)
        if "name" in names:
            names["name"] = _ARTIFACT
    if case.method == "GET" and _streams(case) and next(_turns) % 2:
        case.headers["Accept"] = "text/event-stream"
        if "workload_id" not in names:  # without end: there must be enough in its past
            case.query = {"after": "0"}
            case.headers.pop("Last-Event-ID", None)


def _is_alone(case: schemathesis.Case[Any]) -> bool:
    """It is no step of a scenario, whose ids are those that the steps before made."""
    return case.meta is None or case.meta.phase.name != "stateful"


def _streams(case: schemathesis.Case[Any]) -> bool:
    return "text/event-stream" in case.operation.definition.raw["responses"]["200"]["content"]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@schemathesis.check
def refusals_say_why(context: schemathesis.CheckContext, response: Any, case: schemathesis.Case[Any]) -> None:
    """Every refusal has a code that the document has for it, and a 4xx that is about a body or a parameter names it."""
    if response.status_code < 400:
        return
    problem = response.json()
    assert problem["status"] == response.status_code, problem
    assert problem["request_id"] == response.headers["x-request-id"][0], problem
    assert problem["code"] != "internal_error", problem
    if response.status_code >= 500:
        assert problem["code"] == _MAY_BE_AWAY, problem
    if problem["code"] in ("invalid_spec", "invalid_body", "invalid_parameter", "invalid_archive"):
        assert problem.get("errors"), problem
        assert all(error["message"] for error in problem["errors"]), problem
    if case.meta is not None and not case.meta.generation.mode.is_negative:
        known = {*_RULES_ACROSS_FIELDS, *_RIGHT_ELSEWHERE, *_OF_THE_PLACE, _MAY_BE_AWAY}
        too_many_labels = "label: at most" in problem.get("detail", "")  # of all parameters of that name together
        assert problem["code"] in known or too_many_labels, f"what the document allows is refused: {problem}"
