"""What surrounds every HTTP request: its id, its span, its metrics.

Wrap the whole application (`RequestContext(app, registry)`), so that answers of the router itself (404, 405) have
them too. A client's `X-Request-Id` and `traceparent` are taken over if they are well formed.
"""

import re
import time
from collections.abc import MutableMapping
from functools import cache
from typing import Any, Final

from opentelemetry.trace import SpanKind
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from vulcan_chassis import logs, tracing
from vulcan_chassis.metrics import LATENCY_BUCKETS_S
from vulcan_contracts.ids import new_request_id

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
_STATE_KEY: Final = "vulcan_request_id"


def request_id(scope: MutableMapping[str, Any] | Any) -> str:
    """The id of the request with this ASGI scope; made now if nothing made one before."""
    state = scope.setdefault("state", {})
    known = state.get(_STATE_KEY)
    if not isinstance(known, str):
        known = state[_STATE_KEY] = _taken_over(scope) or new_request_id()
    return known


def _header(scope: MutableMapping[str, Any], name: bytes) -> str | None:
    for key, value in scope["headers"]:
        if key == name:
            return str(value, "latin-1")
    return None


def _taken_over(scope: MutableMapping[str, Any]) -> str | None:
    given = _header(scope, b"x-request-id")
    return given if given is not None and _REQUEST_ID.fullmatch(given) else None


class RequestContext:
    """ASGI middleware around a whole application."""

    def __init__(self, app: Any, registry: CollectorRegistry) -> None:
        self._app = app
        self._log = logs.get()
        self._requests = Counter(
            "vulcan_http_requests", "Requests answered.", ["method", "route", "status"], registry=registry
        )
        self._seconds = Histogram(
            "vulcan_http_request_seconds",
            "Time from a request to the start of its answer.",
            ["method", "route"],
            buckets=LATENCY_BUCKETS_S,
            registry=registry,
        )
        self._open = 0
        gauge = Gauge("vulcan_http_requests_open", "Requests and event streams open now.", registry=registry)
        gauge.set_function(lambda: self._open)
        # Looking up a metric by its labels costs more than counting; the labels are closed sets.
        self._count = cache(lambda method, route, status: self._requests.labels(method, route, str(status)).inc)
        self._observe = cache(lambda method, route: self._seconds.labels(method, route).observe)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Run one request inside its context; everything else (lifespan) passes through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        known = request_id(scope)
        began = time.perf_counter()
        status = 500
        seconds = 0.0

        async def send_with_id(message: Any) -> None:
            nonlocal status, seconds
            if message["type"] == "http.response.start":
                status, seconds = message["status"], time.perf_counter() - began
                headers = [pair for pair in message.get("headers", ()) if pair[0].lower() != b"x-request-id"]
                headers.append((b"x-request-id", known.encode()))
                message = {**message, "headers": headers}
            await send(message)

        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._open += 1
        try:
            with (
                logs.bind(request_id=known),
                tracing.span(
                    f"{method} {scope['path']}", traceparent=_header(scope, b"traceparent"), kind=SpanKind.SERVER
                ) as span,
            ):
                await self._app(scope, receive, send_with_id)
                route = scope.get("path_template") or "unknown"
                span.update_name(f"{method} {route}")
                span.set_attribute("http.response.status_code", status)
        finally:
            route = scope.get("path_template") or "unknown"
            self._open -= 1
            self._count(method, route, status)()
            self._observe(method, route)(seconds)


_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
