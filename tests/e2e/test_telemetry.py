"""One trace follows a workload through every service; each service has metrics; logs are structured and carry ids."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from support.stack import Stack

INLINE = {"source": {"type": "inline", "code": "console.log('traced')"}, "runtime": "javascript"}
SERVICES = {"gateway", "scheduler", "executor-v8", "logstore"}


class Collector:
    """Receives OTLP over HTTP on loopback, for real."""

    def __init__(self) -> None:
        self.spans: list[tuple[str, str, str, str, str]] = []
        """(service, name, trace id, span id, parent id)"""
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                request = ExportTraceServiceRequest()
                request.ParseFromString(self.rfile.read(int(self.headers["content-length"])))
                collector.take(request)
                body = ExportTraceServiceResponse().SerializeToString()
                self.send_response(200)
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def take(self, request: ExportTraceServiceRequest) -> None:
        for resource in request.resource_spans:
            attributes = {each.key: each.value.string_value for each in resource.resource.attributes}
            for scope in resource.scope_spans:
                for span in scope.spans:
                    service = attributes["service.name"].removeprefix("vulcan-")
                    ids = (span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex())
                    self.spans.append((service, span.name, *ids))

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def collector() -> Iterator[Collector]:
    running = Collector()
    yield running
    running.close()


def wait_for(condition: Callable[[], bool], timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "gave up waiting"
        time.sleep(0.1)


def test_one_trace_through_all_services(tmp_path: Path, collector: Collector) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "200"}
    with Stack.start(tmp_path, **settings) as stack:
        headers = {"Authorization": f"Bearer {stack.key}", "traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
        made = httpx.post(stack.url + "/v1/workloads", json=INLINE, headers=headers, timeout=60).json()
        assert made["state"] == "completed"
        assert made["trace_id"] == trace

        def whole_tree() -> bool:
            mine = [span for span in collector.spans if span[2] == trace]
            known = {span[3] for span in mine} | {"00f067aa0ba902b7"}
            return {span[0] for span in mine} >= SERVICES and all(span[4] in known for span in mine)

        wait_for(whole_tree)
        output = stack.output()
    lines = [json.loads(line.partition("| ")[2]) for line in output.splitlines() if "| {" in line]
    about_it = [line for line in lines if line.get("workload_id") == made["id"]]
    assert about_it
    assert all(line["trace_id"] == trace for line in about_it)


def test_metrics_of_every_service(stack: Stack, api: httpx.Client) -> None:
    assert api.post("/v1/workloads", json=INLINE).json()["state"] == "completed"
    text = api.get("/metrics").text
    assert "vulcan_" in text
    report = json.loads((stack.data / "services.json").read_text())
    assert set(report["services"]) >= SERVICES
