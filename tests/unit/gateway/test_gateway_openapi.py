"""The API's document says what the routes do."""

from typing import Any

import msgspec
import pytest

from vulcan_contracts.strict import unknown_fields
from vulcan_gateway.app import HANDLERS
from vulcan_gateway.domain.refusals import STATUS
from vulcan_gateway.http.openapi import document
from vulcan_gateway.http.operations import OPERATION
from vulcan_gateway.settings import LimitSettings


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(document(HANDLERS, "1.2.3", LimitSettings()))
    return found


def operations(described: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(path, method, each) for path, methods in described["paths"].items() for method, each in methods.items()]


def test_every_handler_is_in_it(described: dict[str, Any]) -> None:
    assert len(operations(described)) == len(HANDLERS)
    ids = [each["operationId"] for _, _, each in operations(described)]
    assert len(set(ids)) == len(ids)


def test_every_reference_resolves(described: dict[str, Any]) -> None:
    def walk(value: Any) -> None:
        if isinstance(value, dict):
            if "$ref" in value:
                assert value["$ref"].removeprefix("#/components/schemas/") in described["components"]["schemas"]
            for inner in value.values():
                walk(inner)
        elif isinstance(value, list):
            for inner in value:
                walk(inner)

    walk(described)


def test_every_path_parameter_is_described(described: dict[str, Any]) -> None:
    for path, _, each in operations(described):
        named = {p["name"] for p in each["parameters"] if p["in"] == "path"}
        assert named == {part[1:-1] for part in path.split("/") if part.startswith("{")}


def test_what_needs_a_key_may_answer_401_and_what_writes_403(described: dict[str, Any]) -> None:
    for path, method, each in operations(described):
        public = path in ("/healthz", "/readyz")
        assert ("401" in each["responses"]) is not public
        if method != "get":
            assert "403" in each["responses"], path


def test_codes_and_statuses_are_of_the_catalogue() -> None:
    for handler in HANDLERS:
        for code in handler.opt[OPERATION].refusals:
            assert code in STATUS


def test_requests_are_closed_and_keep_their_limits(described: dict[str, Any]) -> None:
    schemas = described["components"]["schemas"]
    assert schemas["Spec"]["additionalProperties"] is False
    assert schemas["Resources"]["additionalProperties"] is False
    assert schemas["Resources"]["properties"]["memory_mb"]["minimum"] == 16
    assert "additionalProperties" not in schemas["WorkloadView"]
    assert schemas["Spec"]["properties"]["env"]["additionalProperties"]["maxLength"] == 32768


def test_parameters_have_no_null(described: dict[str, Any]) -> None:
    for _, _, each in operations(described):
        for parameter in each["parameters"]:
            assert "null" not in str(parameter)


def test_examples_are_what_the_call_takes(described: dict[str, Any]) -> None:
    bodies = {handler.opt[OPERATION].name: handler.opt[OPERATION].body for handler in HANDLERS}
    seen = 0
    for _, _, each in operations(described):
        example = each.get("requestBody", {}).get("content", {}).get("application/json", {}).get("example")
        if example is not None:
            msgspec.convert(example, bodies[each["operationId"]])
            assert unknown_fields(example, bodies[each["operationId"]]) == []
            seen += 1
    assert seen == 4


def test_what_was_made_leads_to_what_can_be_done_with_it(described: dict[str, Any]) -> None:
    by_id = {each["operationId"]: each for _, _, each in operations(described)}
    links = by_id["submit_async"]["responses"]["202"]["links"]
    assert {"get_one", "kill", "read_logs", "delete"} <= links.keys()
    assert "revoke_key" in by_id["make_key"]["responses"]["201"]["links"]
    for _, _, each in operations(described):
        for answer in each["responses"].values():
            for link in answer.get("links", {}).values():
                named = {p["name"] for p in by_id[link["operationId"]]["parameters"] if p["in"] == "path"}
                assert link["parameters"].keys() <= named
