"""`/healthz`, `/readyz` and `/metrics`: as an ASGI application for services without other HTTP, and as plain
functions for one that serves them beside its API.

/healthz: the event loop turns. /readyz: every check passes, or 503 and which does not. /metrics: Prometheus text.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec
from prometheus_client import CollectorRegistry
from uvicorn._types import ASGIReceiveCallable, ASGISendCallable, Scope

from vulcan_chassis.health import Health
from vulcan_chassis.metrics import exposition

JSON: Final = "application/json"
METRICS_TYPE: Final = "text/plain; version=1.0.0; charset=utf-8"


class OpsResponse(NamedTuple):
    """An answer, before any framework."""

    status: int
    media_type: str
    body: bytes


def healthz() -> OpsResponse:
    """The process is alive."""
    return OpsResponse(200, JSON, b'{"status":"ok"}')


def readyz(health: Health) -> OpsResponse:
    """The service can work now, or which checks say that it cannot."""
    ready = not health.failures()
    body = {"status": "ready" if ready else "not_ready", "checks": health.report()}
    return OpsResponse(200 if ready else 503, JSON, msgspec.json.encode(body))


def metrics(registry: CollectorRegistry) -> OpsResponse:
    """All metrics in Prometheus' text format."""
    return OpsResponse(200, METRICS_TYPE, exposition(registry))


class OpsApp:
    """The three routes as an ASGI application."""

    def __init__(self, health: Health, registry: CollectorRegistry) -> None:
        self._routes: dict[str, Callable[[], OpsResponse]] = {
            "/healthz": healthz,
            "/readyz": lambda: readyz(health),
            "/metrics": lambda: metrics(registry),
        }

    async def __call__(self, scope: Scope, _receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        route = self._routes.get(scope["path"])
        if route is None:
            answer = OpsResponse(404, JSON, b'{"status":"not_found"}')
        elif scope["method"] not in ("GET", "HEAD"):
            answer = OpsResponse(405, JSON, b'{"status":"method_not_allowed"}')
        else:
            answer = route()
        headers = [
            (b"content-type", answer.media_type.encode()),
            (b"content-length", str(len(answer.body)).encode()),
            (b"cache-control", b"no-store"),
        ]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers, "trailers": False})
        body = b"" if scope["method"] == "HEAD" else answer.body
        await send({"type": "http.response.body", "body": body, "more_body": False})
