"""Traces follow a workload through strings, recorded or not."""

import gzip
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import ClassVar

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from vulcan_chassis import tracing

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


def test_without_an_exporter_a_trace_id_still_travels() -> None:
    assert tracing.current_traceparent() is None
    assert tracing.current_trace_id() is None
    with tracing.span("a"):
        handed_on = tracing.current_traceparent()
        assert handed_on is not None
    with tracing.span("b", traceparent=handed_on):
        assert tracing.current_trace_id() == tracing.trace_id(handed_on)
    with tracing.span("c", traceparent=PARENT):
        assert tracing.current_traceparent() == PARENT
    with tracing.span("d"), tracing.span("e"):
        assert tracing.current_trace_id() is not None


def test_with_an_exporter_spans_are_children_of_the_traceparent(exporter: InMemorySpanExporter) -> None:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing.use(provider.get_tracer("test"))
    try:
        with tracing.span("outer", traceparent=PARENT), tracing.span("inner"):
            handed_on = tracing.current_traceparent()
        with pytest.raises(ValueError, match="no"), tracing.span("failed"):
            raise ValueError("no")
    finally:
        tracing.use(None)
        provider.shutdown()
    inner, outer, failed = exporter.get_finished_spans()
    assert (inner.name, outer.name, failed.name) == ("inner", "outer", "failed")
    assert outer.parent is not None
    assert outer.parent.span_id == 0xB7AD6B7169203331
    assert inner.parent is not None
    assert inner.parent.span_id == outer.context.span_id
    assert tracing.trace_id(handed_on) == "0af7651916cd43dd8448eb211c80319c"
    assert not failed.status.is_ok


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "00-0-0-01", PARENT.upper(), f"{PARENT}x", PARENT.replace("00-", "ff-", 1)),
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        None,
    ],
)
def test_a_bad_traceparent_starts_a_new_trace(text: str | None) -> None:
    assert tracing.trace_id(text) is None
    with tracing.span("a", traceparent=text):
        assert tracing.current_trace_id() not in (None, "0af7651916cd43dd8448eb211c80319c")


def test_nothing_is_set_up_without_an_endpoint() -> None:
    tracing.configure("x", "1", {})()
    with tracing.span("a") as span:
        assert not span.is_recording()


class _Collector(BaseHTTPRequestHandler):
    """Takes what an OTLP exporter sends."""

    received: ClassVar[list[tuple[str, bytes]]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        type(self).received.append((self.path, body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        return


def test_spans_are_sent_where_an_endpoint_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    with HTTPServer(("127.0.0.1", 0), _Collector) as collector:
        threading.Thread(target=collector.serve_forever, daemon=True).start()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{collector.server_port}")
        stop = tracing.configure("example", "1.2.3")
        with tracing.span("sent", traceparent=PARENT) as span:
            assert span.is_recording()
        stop()
        collector.shutdown()
    ((path, body),) = _Collector.received
    assert path == "/v1/traces"
    for part in (b"sent", b"vulcan-example", b"1.2.3", bytes.fromhex("0af7651916cd43dd8448eb211c80319c")):
        assert part in gzip.decompress(body) if body[:2] == b"\x1f\x8b" else part in body
    with tracing.span("after") as span:
        assert not span.is_recording()
