"""Health, metrics and the API's own document."""

from typing import Final

from litestar import Response
from msgspec import Struct

from vulcan_chassis import ops
from vulcan_gateway.http.calls import JSON, Call, Gateway
from vulcan_gateway.http.operations import Media, operation

TAG: Final = "operations"


class Health(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whether it works, and which checks say so."""

    status: str
    checks: dict[str, str] = {}


def _respond(given: ops.OpsResponse) -> Response[bytes]:
    return Response(
        content=given.body,
        status_code=given.status,
        media_type=given.media_type,
        headers={"Cache-Control": "no-store"},
    )


@operation("GET", "/healthz", summary="The process is alive", tag=TAG, role=None, public=True, answers={200: (Health,)})
async def healthz() -> Response[bytes]:
    """Answers as long as anything does."""
    return _respond(ops.healthz())


@operation(
    "GET",
    "/readyz",
    summary="The service can work now",
    tag=TAG,
    role=None,
    public=True,
    answers={200: (Health,), 503: (Health,)},
)
async def readyz(gateway: Gateway) -> Response[bytes]:
    """503 while something that it needs is away, with what."""
    return _respond(ops.readyz(gateway.health))


@operation(
    "GET",
    "/metrics",
    summary="Prometheus metrics",
    tag=TAG,
    platform=True,
    answers={200: (Media("text/plain", {"type": "string"}, "Prometheus' text format"),)},
)
async def metrics(gateway: Gateway) -> Response[bytes]:
    """What this gateway measures, of all tenants together."""
    return _respond(ops.metrics(gateway.registry))


@operation(
    "GET",
    "/schema",
    summary="This document",
    tag=TAG,
    answers={200: (Media(JSON, {"type": "object"}, "OpenAPI 3.1"),)},
)
async def schema(request: Call) -> Response[bytes]:
    """The API, described."""
    document: bytes = request.app.state.document
    return Response(content=document, media_type=JSON, headers={"Cache-Control": "no-cache"})


HANDLERS: Final = [healthz, readyz, metrics, schema]
