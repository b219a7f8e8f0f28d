"""`/healthz`, `/readyz` and `/metrics` as Litestar handlers, for a service that has an HTTP API of its own."""

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from prometheus_client import CollectorRegistry

from vulcan_chassis import ops
from vulcan_chassis.health import Health


def ops_handlers(health: Health, registry: CollectorRegistry) -> list[HTTPRouteHandler]:
    """The three handlers, to put beside the API's own."""

    @get("/healthz", sync_to_thread=False, operation_id="Healthz", summary="The process is alive", tags=["operations"])
    def healthz() -> Response[bytes]:
        return _response(ops.healthz())

    @get(
        "/readyz", sync_to_thread=False, operation_id="Readyz", summary="The service can work now", tags=["operations"]
    )
    def readyz() -> Response[bytes]:
        return _response(ops.readyz(health))

    @get("/metrics", sync_to_thread=False, operation_id="Metrics", summary="Prometheus metrics", tags=["operations"])
    def metrics() -> Response[bytes]:
        return _response(ops.metrics(registry))

    return [healthz, readyz, metrics]


def _response(answer: ops.OpsResponse) -> Response[bytes]:
    return Response(
        content=answer.body,
        status_code=answer.status,
        media_type=answer.media_type,
        headers={"Cache-Control": "no-store"},
    )
