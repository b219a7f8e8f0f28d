"""The table after the start: what ran, what did not, and why."""

from datetime import UTC, datetime
from typing import Any

from vulcan_contracts.nodes import Capacity
from vulcan_contracts.spec import InlineSource, Spec
from vulcan_contracts.views import BackendView, Timings, WorkloadView
from vulcan_local.sample import SampleReport, SampleRun, render

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NOTHING = Capacity(cpus=0, memory_mb=0, slots=0)


def view(**changed: Any) -> WorkloadView:
    fields: dict[str, Any] = {
        **dict.fromkeys(WorkloadView.__struct_fields__),
        "id": "w",
        "state": "completed",
        "stdout": "hello\n",
        "stderr": "",
        "message": "",
        "timings": Timings(queued_ms=1.25, sandbox_ready_ms=2, run_ms=3, total_ms=6.0),
        "spec": Spec(source=InlineSource(code="1")),
        "submitted_at": NOW,
        **changed,
    }
    return WorkloadView(**fields)


def test_it_shows_results_times_and_reasons() -> None:
    missing = BackendView(
        isolation="microvm",
        available=False,
        nodes=[],
        report=None,
        capacity=NOTHING,
        used=NOTHING,
        unavailable_reason="no node offers it",
        hint="Start an executor for it.",
    )
    report = SampleReport(
        runs=[
            SampleRun(backend="v8", runtime="javascript", workload=view()),
            SampleRun(backend="v8", runtime="typescript", workload=view(state="failed", message="no room", stdout="")),
            SampleRun(backend="gvisor", runtime="python", workload=None, problem="refused by quota"),
        ],
        unavailable=[missing],
        warnings=["v8: no jail [here]"],
    )
    shown = render(report, colours=False, width=160)
    rows = {line.split("│")[2].strip(): line for line in shown.splitlines() if line.startswith("│")}
    assert "ok" in rows["javascript"]
    assert "1.2" in rows["javascript"]
    assert "6.0" in rows["javascript"]
    assert "failed" in rows["typescript"]
    assert "no room" in rows["typescript"]
    assert "refused by quota" in rows["python"]
    assert "v8: no jail [here]" in shown
    assert "microvm is not available here: no node offers it. Start an executor for it." in shown
    assert "\x1b" not in shown
