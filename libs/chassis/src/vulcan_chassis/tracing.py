"""Traces that follow one workload through every service, as W3C traceparent strings.

Spans are recorded and sent (OTLP over HTTP) only where OTEL_EXPORTER_OTLP_ENDPOINT is set. Elsewhere a span costs next
to nothing and is not recorded, but still has a trace id, so that the logs of all services can be joined on it.
"""

import os
import re
import secrets
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from contextvars import Token
from types import TracebackType
from typing import Final

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags, Tracer
from opentelemetry.util.types import Attributes

ENDPOINT_VARIABLES: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
FLUSH_TIMEOUT_S: Final = 3.0

_TRACEPARENT: Final = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")

_NOT_SAMPLED: Final = TraceFlags(TraceFlags.DEFAULT)


class _State:
    tracer: Tracer | None = None


def configure(service: str, version: str, environ: Mapping[str, str] | None = None) -> Callable[[], None]:
    """Start to record and send spans if an endpoint is configured. Call what this returns to send the rest and stop."""
    env = os.environ if environ is None else environ
    if not any(env.get(name) for name in ENDPOINT_VARIABLES):
        return lambda: None
    # Imported where needed: the exporter and the SDK cost every process without traces a third of a second.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    resource = Resource.create({"service.name": f"vulcan-{service}", "service.version": version})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    _State.tracer = provider.get_tracer("vulcan", version)

    def stop() -> None:
        _State.tracer = None
        # The exporter tries for long where the collector is away; a service's end does not wait for that.
        flushing = threading.Thread(target=provider.shutdown, name="trace flush", daemon=True)
        flushing.start()
        flushing.join(FLUSH_TIMEOUT_S)

    return stop


def use(tracer: Tracer | None) -> None:
    """Record spans with this tracer (None: record none), as a test does."""
    _State.tracer = tracer


def recording() -> bool:
    """True where spans are recorded and sent: ask before making one for each of many small things."""
    return _State.tracer is not None


def span(
    name: str,
    *,
    traceparent: str | None = None,
    kind: SpanKind = SpanKind.INTERNAL,
    attributes: Attributes = None,
) -> AbstractContextManager[Span]:
    """Run the block in a span: a child of `traceparent` if that is given and valid, else of the current span, else a
    new trace. An exception marks the span as failed and goes on."""
    parent = _context(traceparent)
    if _State.tracer is None:
        return _Unrecorded(parent)
    above = trace.set_span_in_context(NonRecordingSpan(parent)) if parent is not None else None
    return _State.tracer.start_as_current_span(name, context=above, kind=kind, attributes=attributes)


class _Unrecorded(AbstractContextManager[Span]):
    """The current span while nothing is recorded. A class, since every request passes here and generators cost more."""

    def __init__(self, parent: SpanContext | None) -> None:
        self._parent = parent
        self._before: Token[Context] | None = None

    def __enter__(self) -> Span:
        if self._parent is None and (above := trace.get_current_span()).get_span_context().is_valid:
            return above  # it would have the same ids
        current = _unrecorded(self._parent)
        self._before = context.attach(trace.set_span_in_context(current))
        return current

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._before is not None:
            context.detach(self._before)


def current_traceparent() -> str | None:
    """The current span as a traceparent, to hand on; None outside of any span."""
    known = trace.get_current_span().get_span_context()
    if not known.is_valid:
        return None
    flags = known.trace_flags & TraceFlags.SAMPLED
    return f"00-{known.trace_id:032x}-{known.span_id:016x}-{flags:02x}"


def current_trace_id() -> str | None:
    """The current trace's id, 32 hex digits; None outside of any span."""
    known = trace.get_current_span().get_span_context()
    return trace.format_trace_id(known.trace_id) if known.is_valid else None


def trace_id(traceparent: str | None) -> str | None:
    """The trace id inside a traceparent; None if that is missing or not valid."""
    match = _TRACEPARENT.fullmatch(traceparent) if traceparent else None
    if match is None or not int(match[1], 16) or not int(match[2], 16):
        return None
    return match[1].lower()


def fail(current: Span, message: str) -> None:
    """Mark a span as failed where no exception does it."""
    current.set_status(Status(StatusCode.ERROR, message))


def _context(traceparent: str | None) -> SpanContext | None:
    match = _TRACEPARENT.fullmatch(traceparent) if traceparent else None
    if match is None:
        return None
    trace_hex, span_hex, flags = match.groups()
    given = SpanContext(int(trace_hex, 16), int(span_hex, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))
    return given if given.is_valid else None


def _unrecorded(parent: SpanContext | None) -> NonRecordingSpan:
    above = parent or trace.get_current_span().get_span_context()
    if above.is_valid:
        return NonRecordingSpan(
            SpanContext(above.trace_id, above.span_id, is_remote=False, trace_flags=above.trace_flags)
        )
    random = secrets.token_bytes(24)
    ids = int.from_bytes(random[:16]) or 1, int.from_bytes(random[16:]) or 1
    return NonRecordingSpan(SpanContext(*ids, is_remote=False, trace_flags=_NOT_SAMPLED))
