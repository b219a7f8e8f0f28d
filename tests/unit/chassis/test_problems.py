"""Whatever goes wrong in an HTTP API, the answer is a problem document that names it and leaks nothing."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

import httpx
import msgspec
import pytest
import pytest_asyncio
from litestar import Litestar, Request, get, post
from litestar.exceptions import HTTPException, NotAuthorizedException
from litestar.openapi.config import OpenAPIConfig
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Meta, Struct
from prometheus_client import CollectorRegistry

from vulcan_chassis.metrics import exposition
from vulcan_chassis.problem_handlers import exception_handlers
from vulcan_chassis.problems import ProblemError, parse_validation
from vulcan_chassis.request_context import RequestContext, request_id
from vulcan_contracts.problem import FieldError, Problem


class Limits(Struct, forbid_unknown_fields=True):
    cpus: Annotated[float, Meta(ge=0.05)] = 1.0


class Body(Struct, forbid_unknown_fields=True):
    code: str
    resources: Limits = msgspec.field(default_factory=Limits)
    env: dict[str, str] = {}
    args: list[str] = []


@post("/litestar")
async def by_litestar(data: JSONBody[Body]) -> Body:
    return data


@post("/own")
async def by_hand(request: Request[Any, Any, Any]) -> Body:
    return msgspec.json.decode(await request.body(), type=Body)


@get("/quota")
async def quota() -> None:
    raise ProblemError(429, "quota_exceeded", "Too many wait.", hint="Wait.", headers={"Retry-After": "3"})


@get("/broken")
async def broken() -> None:
    raise RuntimeError("the secret is 12345")


@get("/http/{status:int}")
async def http(status: FromPath[int]) -> None:
    raise HTTPException(status_code=status, detail="secret detail" if status == 500 else "detail")


@get("/key")
async def key() -> None:
    raise NotAuthorizedException("No key.")


@get("/page")
async def page(limit: Annotated[int, QueryParameter(ge=1)] = 1) -> int:
    return limit


@get("/id")
async def own_id(request: Request[Any, Any, Any]) -> str:
    return request_id(request.scope)


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest_asyncio.fixture
async def client(registry: CollectorRegistry) -> AsyncIterator[httpx.AsyncClient]:
    app = Litestar(
        route_handlers=[by_litestar, by_hand, quota, broken, http, key, page, own_id],
        exception_handlers=exception_handlers(),
        openapi_config=OpenAPIConfig(title="x", version="1"),
        logging_config=None,
        request_max_body_size=1000,
    )
    transport = httpx.ASGITransport(RequestContext(app, registry), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as opened:
        yield opened


def problem(answer: httpx.Response) -> Problem:
    assert answer.headers["content-type"] == "application/problem+json"
    found = msgspec.json.decode(answer.content, type=Problem)
    assert found.status == answer.status_code
    assert found.type == f"urn:vulcan:problem:{found.code}"
    assert found.request_id == answer.headers["x-request-id"]
    assert answer.headers.get_list("x-request-id") == [found.request_id]
    return found


@pytest.mark.parametrize("path", ["/litestar", "/own"])
@pytest.mark.parametrize(
    ("body", "field"),
    [
        ('{"code": 1}', "code"),
        ("{}", "code"),
        ('{"code": "x", "resources": {"cpus": -1}}', "resources.cpus"),
        ('{"code": "x", "resources": {"cpu": 1}}', "resources.cpu"),
        ('{"code": "x", "colour": 1}', "colour"),
        ('{"code": "x", "args": ["a", 2]}', "args[1]"),
    ],
)
async def test_a_wrong_body_names_the_field(client: httpx.AsyncClient, path: str, body: str, field: str) -> None:
    answer = await client.post(path, content=body, headers={"content-type": "application/json"})
    found = problem(answer)
    assert (found.status, found.code) == (422, "invalid_request")
    assert [error.field for error in found.errors] == [field]
    assert found.errors[0].message
    assert found.instance == path


@pytest.mark.parametrize("path", ["/litestar", "/own"])
@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b'{"code": "\\ud800"}', b"[" * 900])
async def test_a_malformed_body(client: httpx.AsyncClient, path: str, body: bytes) -> None:
    answer = await client.post(path, content=body, headers={"content-type": "application/json"})
    found = problem(answer)
    assert found.status in (400, 422)


async def test_a_problem_error_keeps_its_headers_and_hint(client: httpx.AsyncClient) -> None:
    answer = await client.get("/quota")
    found = problem(answer)
    assert (found.status, found.code, found.detail, found.hint) == (429, "quota_exceeded", "Too many wait.", "Wait.")
    assert found.title == "Quota exceeded"
    assert answer.headers["retry-after"] == "3"


async def test_the_unexpected_leaks_nothing(client: httpx.AsyncClient, capsys: pytest.CaptureFixture[str]) -> None:
    answer = await client.get("/broken")
    assert problem(answer).code == "internal_error"
    assert "12345" not in answer.text
    assert "Traceback" not in answer.text
    answer = await client.get("/http/500")
    assert problem(answer).status == 500
    assert "secret detail" not in answer.text
    assert "12345" in capsys.readouterr().out, "but it is in the log"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("DELETE", "/quota", 405, "method_not_allowed"),
        ("GET", "/http/409", 409, "conflict"),
        ("GET", "/http/415", 415, "unsupported_media_type"),
        ("GET", "/http/418", 418, "bad_request"),
        ("GET", "/key", 401, "unauthorized"),
        ("GET", "/http/x", 404, "not_found"),
    ],
)
async def test_litestars_own_errors(client: httpx.AsyncClient, method: str, path: str, status: int, code: str) -> None:
    answer = await client.request(method, path)
    found = problem(answer)
    assert (found.status, found.code) == (status, code)


async def test_a_body_over_the_limit(client: httpx.AsyncClient) -> None:
    answer = await client.post("/litestar", json={"code": "x" * 2000})
    assert problem(answer).code == "body_too_large"


async def test_a_wrong_query_parameter_is_named(client: httpx.AsyncClient) -> None:
    for value in ("x", "0"):
        found = problem(await client.get("/page", params={"limit": value}))
        assert (found.status, found.code) == (422, "invalid_request")
        assert [error.field for error in found.errors] == ["limit"]


async def test_a_request_id_is_taken_over_only_if_it_is_one(client: httpx.AsyncClient) -> None:
    answer = await client.get("/id", headers={"X-Request-Id": "abc-1"})
    assert answer.text == "abc-1"
    assert answer.headers["x-request-id"] == "abc-1"
    for bad in ("a b", "x" * 200, "<script>", ""):
        answer = await client.get("/id", headers={"X-Request-Id": bad})
        assert answer.text.startswith("rq_")
        assert answer.headers["x-request-id"] == answer.text


async def test_requests_are_counted_by_route(client: httpx.AsyncClient, registry: CollectorRegistry) -> None:
    await client.get("/http/418")
    await client.get("/nothing")
    text = exposition(registry).decode()
    assert 'vulcan_http_requests_total{method="GET",route="/http/{status}",status="418"} 1.0' in text
    assert "/nothing" not in text, "an address from outside is no label"


def test_a_message_without_a_path_names_no_field() -> None:
    assert parse_validation("Expected `object`, got `int`") == FieldError(
        field="", message="Expected `object`, got `int`"
    )
    assert parse_validation("Expected `str`, got `int` - at `$.a[0].b`").field == "a[0].b"
    assert parse_validation("Expected `str`, got `int` - at `$`", "data").field == "data"
