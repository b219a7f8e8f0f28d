"""The application: every route, and what each request passes through."""

from typing import Any, Final

from litestar import Litestar
from litestar.di import Provide
from litestar.handlers import HTTPRouteHandler

from vulcan_chassis.request_context import RequestContext
from vulcan_gateway.http import admin, artifacts, cluster, errors, events, keys, logs, ops, stats, submit, workloads
from vulcan_gateway.http.auth import Authentication
from vulcan_gateway.http.draining import DrainBodies
from vulcan_gateway.http.methods import AnswerOptions, Methods
from vulcan_gateway.http.openapi import document
from vulcan_gateway.http.security import SecurityHeaders
from vulcan_gateway.http.shortcuts import Shortcuts
from vulcan_gateway.parts import Parts

HANDLERS: Final[list[HTTPRouteHandler]] = [
    *submit.HANDLERS,
    *workloads.HANDLERS,
    *logs.HANDLERS,
    *events.HANDLERS,
    *artifacts.HANDLERS,
    *cluster.HANDLERS,
    *stats.HANDLERS,
    *keys.HANDLERS,
    *admin.HANDLERS,
    *ops.HANDLERS,
]


def make_app(parts: Parts, version: str) -> Any:
    """The ASGI application over these collaborators."""
    routes = Litestar(
        route_handlers=HANDLERS,
        dependencies={"gateway": Provide(lambda: parts, use_cache=True, sync_to_thread=False)},
        exception_handlers=errors.handlers(),
        openapi_config=None,
        logging_config=None,
        request_max_body_size=None,
        debug=False,
    )
    routes.state.document = document(HANDLERS, version, parts.settings.limits)
    short = Shortcuts(routes, HANDLERS, parts, errors.handlers())
    guarded = Authentication(AnswerOptions(short, Methods(HANDLERS)), parts.keyring)
    limits = parts.settings.limits
    patient = DrainBodies(guarded, limit_bytes=limits.drain_bytes, timeout_s=limits.drain_timeout_s)
    return RequestContext(SecurityHeaders(patient), parts.registry)
