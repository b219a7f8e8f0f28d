"""The OpenAPI document, made of the operations that the handlers declare and of the types that they take and answer."""

import re
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Any, Final

import msgspec
from litestar.handlers import HTTPRouteHandler
from msgspec import Struct

from vulcan_contracts.problem import MEDIA_TYPE, TYPE_PREFIX, Problem
from vulcan_contracts.projections import RebuildStatus
from vulcan_contracts.spec import Spec
from vulcan_contracts.tenants import Tenant
from vulcan_contracts.views import KeyRequest, NewKey, TenantRequest, WorkloadView
from vulcan_gateway.domain.refusals import STATUS
from vulcan_gateway.http.operations import OPERATION, Answer, Media, Operation
from vulcan_gateway.settings import LimitSettings

_REF: Final = "#/components/schemas/{name}"
_PATH_PARAMETER: Final = re.compile(r"\{(\w+):(\w+)\}")
_EVERYWHERE: Final = ("bad_request", "unauthorized", "internal_error", "event_log_unavailable")
"""What any call may answer that needs a key: checking the key may need the event log's server."""
_NAMES: Final = {
    "workload_id": {"type": "string", "pattern": "^wl_[0-9a-hjkmnp-tv-z]{26}$"},
    "key_id": {"type": "string", "pattern": "^[0-9a-z]{12}$"},
    "node": {"type": "string", "minLength": 1, "maxLength": 63},
    "tenant_id": {"type": "string", "pattern": "^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$"},
    "rebuild_id": {"type": "string", "minLength": 1, "maxLength": 64},
    "name": {"type": "string", "minLength": 1, "maxLength": 512},
}
_HEADERS: Final[dict[str, dict[str, Any]]] = {
    "Idempotency-Key": {
        "description": "The same key and the same body: the same workload. Another body under the key is refused.",
        "schema": {"type": "string", "pattern": "^[\\x21-\\x7e]{1,255}$"},
    },
    "Last-Event-ID": {
        "description": "The `id:` that a stream goes on behind.",
        "schema": {"type": "string", "pattern": "^[0-9]{0,18}$"},
    },
}
_IDENTIFIES: Final[dict[type[Struct], str]] = {
    WorkloadView: "workload_id",
    NewKey: "key_id",
    RebuildStatus: "rebuild_id",
    Tenant: "tenant_id",
}
"""The path parameters that the `id` of an answer is good for: links lead there."""
_EXAMPLES: Final[dict[type[Struct], dict[str, Any]]] = {
    Spec: {
        "source": {"type": "inline", "code": "console.log('hello'); export default (who) => `hello ${who}`;"},
        "runtime": "javascript",
        "input": "world",
        "timeout_s": 5,
    },
    KeyRequest: {"role": "writer", "name": "build server"},
    TenantRequest: {"quotas": {"max_running": 10, "weight": 2}, "log_retention_days": 30},
}


def document(handlers: Iterable[HTTPRouteHandler], version: str, limits: LimitSettings) -> bytes:
    """The document as JSON."""
    operations: list[Operation] = [handler.opt[OPERATION] for handler in handlers]
    paths: dict[str, dict[str, Any]] = {}
    for each in operations:
        path = _PATH_PARAMETER.sub(r"{\1}", each.path)
        paths.setdefault(path, {})[each.method.lower()] = _operation(each, operations, limits)
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "Vulcan",
                "version": version,
                "description": "Runs code that nobody trusts, in the isolation that fits.",
            },
            "servers": [{"url": "/"}],
            "security": [{"key": []}],
            "tags": [{"name": name} for name in dict.fromkeys(each.tag for each in operations)],
            "paths": paths,
            "components": {
                "schemas": _schemas(operations),
                "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "bearerFormat": "vk_..."}},
            },
        }
    )


def _schemas(operations: list[Operation]) -> dict[str, Any]:
    """Every type that is named. What a request may hold is closed: an unknown field is refused."""
    bodies = [each.body for each in operations if each.body is not None]
    answers = [a for each in operations for forms in each.answers.values() for a in forms]
    types = [*bodies, *(a for a in answers if isinstance(a, type)), Problem]
    _, components = msgspec.json.schema_components(dict.fromkeys(types), ref_template=_REF)
    _, taken = msgspec.json.schema_components(dict.fromkeys(bodies), ref_template=_REF)
    for name in taken:
        schema = components[name]
        if schema.get("type") == "object" and "properties" in schema:
            schema["additionalProperties"] = False
    return components


def _operation(each: Operation, operations: list[Operation], limits: LimitSettings) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": each.name,
        "summary": each.summary,
        "tags": [each.tag],
        "parameters": [*_path_parameters(each), *_query_parameters(each), *_header_parameters(each)],
        "responses": {str(status): _answers(status, forms) for status, forms in sorted(each.answers.items())},
    }
    if each.method != "GET":
        for status, forms in each.answers.items():
            if links := {name: link for form in forms for name, link in _links(form, operations)}:
                described["responses"][str(status)]["links"] = links
    described["responses"] |= _refusals(each)
    if each.role is not None and not each.public:
        who = " of the tenant `default`" if each.platform else ""
        described["description"] = f"Needs the role `{each.role}`{who}."
    if each.public:
        described["security"] = []
    if each.body is not None:
        described["requestBody"] = _request_body(each, limits)
    return described


def _path_parameters(each: Operation) -> Iterator[dict[str, Any]]:
    for name, _ in _PATH_PARAMETER.findall(each.path):
        yield {"name": name, "in": "path", "required": True, "schema": _NAMES[name]}


def _query_parameters(each: Operation) -> Iterator[dict[str, Any]]:
    if each.query is None:
        return
    schema = msgspec.json.schema(each.query, ref_template=_REF)
    declared = schema["$defs"][each.query.__name__] if "$defs" in schema else schema
    for name, field in declared["properties"].items():
        yield {"name": name, "in": "query", "required": False, "schema": _without_null(field)}


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter is there or not; it has no null."""
    found = {key: value for key, value in schema.items() if key != "default" or value is not None}
    if "anyOf" in found:
        forms = [form for form in found["anyOf"] if form != {"type": "null"}]
        if len(forms) == 1:
            return {**{k: v for k, v in found.items() if k != "anyOf"}, **forms[0]}
        found["anyOf"] = forms
    return found


def _header_parameters(each: Operation) -> Iterator[dict[str, Any]]:
    for name in each.headers:
        yield {"name": name, "in": "header", "required": False, **_HEADERS[name]}


def _answers(status: int, forms: tuple[Answer, ...]) -> dict[str, Any]:
    described: dict[str, Any] = {"description": HTTPStatus(status).phrase}
    content: dict[str, Any] = {}
    for form in forms:
        if isinstance(form, Media):
            content[form.media_type] = {"schema": form.schema}
            if form.description:
                described["description"] += f"; {form.media_type}: {form.description}"
        elif form is not None:
            content["application/json"] = {"schema": _reference(form)}
    if content:
        described["content"] = content
    if status in (201, 202):
        described["headers"] = {"Location": {"schema": {"type": "string"}}}
    return described


def _links(form: Answer, operations: list[Operation]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Which calls take the id that this answer gives."""
    parameter = _IDENTIFIES.get(form) if isinstance(form, type) else None
    for other in operations:
        if parameter is not None and parameter in dict(_PATH_PARAMETER.findall(other.path)):
            yield other.name, {"operationId": other.name, "parameters": {parameter: "$response.body#/id"}}


def _refusals(each: Operation) -> dict[str, Any]:
    codes = dict.fromkeys((*each.refusals, *(() if each.public else _EVERYWHERE)))
    if each.platform or each.role not in (None, "reader"):
        codes["forbidden"] = None
    by_status: dict[int, list[str]] = {}
    for code in codes:
        by_status.setdefault(STATUS[code], []).append(code)
    return {str(status): _problem(status, found) for status, found in sorted(by_status.items())}


def _problem(status: int, codes: list[str]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "description": f"{HTTPStatus(status).phrase}: {', '.join(f'`{code}`' for code in sorted(codes))}",
        "content": {
            MEDIA_TYPE: {
                "schema": {
                    "allOf": [
                        _reference(Problem),
                        {
                            "properties": {
                                "status": {"const": status},
                                "code": {"enum": sorted(codes)},
                                "type": {"enum": [TYPE_PREFIX + code for code in sorted(codes)]},
                            }
                        },
                    ]
                }
            }
        },
    }
    if status in (429, 503):
        described["headers"] = {"Retry-After": {"schema": {"type": "integer"}}}
    if status == 401:
        described["headers"] = {"WWW-Authenticate": {"schema": {"type": "string"}}}
    return described


def _request_body(each: Operation, limits: LimitSettings) -> dict[str, Any]:
    if each.body is None:
        return {}
    content: dict[str, Any] = {"application/json": {"schema": _reference(each.body)}}
    if (example := _EXAMPLES.get(each.body)) is not None:
        content["application/json"]["example"] = example
    if each.multipart:
        content["multipart/form-data"] = {
            "schema": {
                "type": "object",
                "properties": {
                    "spec": _reference(each.body),
                    "archive": {
                        "type": "string",
                        "contentMediaType": "application/octet-stream",
                        "description": f"A tar.gz or zip of at most {limits.archive_bytes} bytes.",
                    },
                },
                "required": ["spec"],
                "additionalProperties": False,
            },
            "encoding": {"spec": {"contentType": "application/json"}},
        }
    return {"required": not each.body_optional, "content": content}


def _reference(named: type[Struct]) -> dict[str, Any]:
    return {"$ref": _REF.format(name=named.__name__)}
