"""A service as a process: exit codes, signals, logs and the ops listener."""

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

SERVICE = """
import asyncio, sys
from msgspec import Struct
from vulcan_chassis import logs, tracing
from vulcan_chassis.errors import StartError
from vulcan_chassis.service import run

class Settings(Struct, frozen=True, kw_only=True):
    mode: str = "work"

async def wire(service, settings):
    async def closing():
        if settings.mode == "hang":
            await asyncio.Event().wait()
        logs.get().info("bus closed")
    async def work():
        with tracing.span("work"), logs.bind(workload_id="wl_1"):
            logs.get().info("working", secret=object)
        if settings.mode == "crash":
            raise RuntimeError("broken")
        await asyncio.Event().wait()
    if settings.mode == "refuse":
        raise StartError("the database is of another release")
    if settings.mode == "slow":
        logs.get().info("working")
        await asyncio.Event().wait()
    service.on_stop(closing, name="bus")
    service.health.add("bus", lambda: "away" if settings.mode == "unready" else None)
    service.task(work(), name="work")

sys.exit(run("example", Settings, wire))
"""


class Running:
    """The service's process and what it logs."""

    def __init__(self, script: Path, **environ: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, script], stderr=subprocess.PIPE, text=True, env={**os.environ, **environ}
        )
        self.records: list[dict[str, Any]] = []

    def until(self, event: str) -> dict[str, Any]:
        """Read the log up to the record of this event."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.records.append(json.loads(line))
            if self.records[-1]["event"] == event:
                return self.records[-1]
        raise AssertionError(f"no {event} in {self.records}")

    def end(self) -> int:
        """Read the rest of the log; the exit code."""
        assert self.process.stderr is not None
        self.records.extend(json.loads(line) for line in self.process.stderr)
        return self.process.wait(timeout=30)

    @property
    def events(self) -> list[str]:
        """What was logged so far."""
        return [record["event"] for record in self.records]


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "service.py"
    path.write_text(SERVICE)
    return path


@pytest.fixture
def start(script: Path) -> Iterator[Callable[..., Running]]:
    """Starts a service, as often as it is called."""
    started: list[Running] = []

    def start_one(**environ: str) -> Running:
        started.append(Running(script, **environ))
        return started[-1]

    yield start_one
    for service in started:
        service.process.kill()
        service.process.wait()
        assert service.process.stderr is not None
        service.process.stderr.close()


@pytest.fixture
def running(start: Callable[..., Running]) -> Running:
    return start()


def run(script: Path, **environ: str) -> tuple[int, list[dict[str, Any]], str]:
    """Run it to its end."""
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, env={**os.environ, **environ})
    records = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    return done.returncode, records, done.stderr


def get(address: str, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_in_order_with_0(running: Running, number: signal.Signals) -> None:
    running.until("started")
    running.process.send_signal(number)
    assert running.end() == 0
    assert running.events[-4:] == ["signal received", "stopping", "bus closed", "stopped"]


def test_records_carry_service_time_trace_and_workload(running: Running) -> None:
    record = running.until("working")
    assert record["service"] == "example"
    assert record["level"] == "info"
    assert record["workload_id"] == "wl_1"
    assert len(record["trace_id"]) == 32
    assert record["time"].endswith("Z")
    assert "workload_id" not in running.until("started")


def test_it_answers_health_readiness_and_metrics(running: Running) -> None:
    address = running.until("ops listening")["address"]
    running.until("started")
    assert get(address, "/healthz") == (200, '{"status":"ok"}')
    assert get(address, "/readyz") == (200, '{"status":"ready","checks":{"bus":"ok"}}')
    status, metrics = get(address, "/metrics")
    assert status == 200
    assert 'vulcan_build_info{service="example"' in metrics
    assert "process_resident_memory_bytes" in metrics
    assert get(address, "/else")[0] == 404


def test_readiness_names_what_fails(start: Callable[..., Running]) -> None:
    service = start(VULCAN_MODE="unready")
    address = service.until("ops listening")["address"]
    service.until("started")
    assert get(address, "/readyz") == (503, '{"status":"not_ready","checks":{"bus":"away"}}')
    assert get(address, "/healthz")[0] == 200
    service.process.terminate()
    assert service.end() == 0


def test_a_crashed_task_ends_it_with_1_after_the_ordered_stop(script: Path) -> None:
    code, records, _ = run(script, VULCAN_MODE="crash")
    assert code == 1
    crash = next(record for record in records if record["event"] == "task crashed, stopping")
    assert "RuntimeError: broken" in crash["exception"]
    assert [record["event"] for record in records][-2:] == ["bus closed", "stopped"]


def test_a_known_reason_not_to_start_is_said_without_a_traceback(script: Path) -> None:
    code, records, _ = run(script, VULCAN_MODE="refuse")
    assert code == 1
    said = next(record for record in records if record["event"] == "could not start")
    assert said["reason"] == "the database is of another release"
    assert "exception" not in said


def test_wrong_settings_end_it_with_2_and_every_mistake(script: Path) -> None:
    code, _, text = run(script, VULCAN_LOG_LEVEL="loud", VULCAN_OPS_LISTEN="here")
    assert code == 2
    level, listen = text.splitlines()
    assert level == "vulcan-example: VULCAN_LOG_LEVEL is not valid; it takes one of debug, error, info, warning"
    assert listen.startswith("vulcan-example: VULCAN_OPS_LISTEN is not valid; it takes host:port")


def test_a_taken_port_is_a_reason_not_to_start(script: Path, running: Running) -> None:
    address = running.until("ops listening")["address"]
    code, records, _ = run(script, VULCAN_OPS_LISTEN=address)
    assert code == 1
    assert any("Address already in use" in record.get("reason", "") for record in records)


def test_a_step_that_hangs_is_named_and_left_behind(start: Callable[..., Running]) -> None:
    service = start(VULCAN_MODE="hang", VULCAN_STOP_STEP_TIMEOUT_S="1")
    service.until("started")
    service.process.terminate()
    assert service.end() == 1
    late = next(record for record in service.records if record["event"] == "did not stop in time")
    assert late["step"] == "bus"


def test_a_second_signal_ends_it_at_once(start: Callable[..., Running]) -> None:
    service = start(VULCAN_MODE="hang", VULCAN_STOP_STEP_TIMEOUT_S="60")
    service.until("started")
    service.process.terminate()
    service.until("stopping")
    service.process.terminate()
    assert service.end() == 128 + signal.SIGTERM


def test_a_signal_while_it_still_starts_stops_it_too(start: Callable[..., Running]) -> None:
    service = start(VULCAN_MODE="slow")
    service.until("working")
    service.process.terminate()
    assert service.end() == 0


def test_text_format(script: Path) -> None:
    code, _, text = run(script, VULCAN_MODE="crash", VULCAN_LOG_FORMAT="text")
    assert code == 1
    assert "task crashed, stopping" in text
    assert not text.startswith("{")
