"""Answers of the API to build scripted servers with."""

from typing import Any

import msgspec

from vulcan_contracts.clock import utc_now
from vulcan_contracts.spec import InlineSource, Spec
from vulcan_contracts.views import Timings, WorkloadView

WORKLOAD = "wl_01arz3ndektsv4rrffq69g5fav"


def workload(**changes: Any) -> WorkloadView:
    """A completed workload, but for what the caller wants otherwise."""
    now = utc_now()
    view = WorkloadView(
        id=WORKLOAD,
        state="completed",
        reason=None,
        message="",
        exit_code=0,
        isolation="auto",
        backend="v8",
        runtime="typescript",
        source_type="inline",
        node="here-v8",
        attempt=1,
        priority=0,
        labels={},
        submitted_at=now,
        started_at=now,
        ended_at=now,
        replay_of=None,
        isolation_reason="it fits",
        signal=None,
        result=None,
        stdout="hello\n",
        stdout_truncated=False,
        stderr="",
        stderr_truncated=False,
        artifacts=[],
        usage=None,
        timings=Timings(),
        pending_reason=None,
        queue_position=None,
        kill_requested=False,
        deleted=False,
        version=4,
        image_digest=None,
        trace_id=None,
        spec=Spec(source=InlineSource(code="console.log('hello')"), runtime="typescript"),
    )
    return msgspec.structs.replace(view, **changes)


def document(value: Any) -> Any:
    """A view as plain JSON data."""
    return msgspec.to_builtins(value)


def line(seq: int, text: str = "", stream: str = "stdout", **more: Any) -> tuple[str, int, dict[str, Any]]:
    """A log line as a message of an event stream."""
    data = {"seq": seq, "time": "2026-01-31T12:00:00Z", "stream": stream, "text": text or f"line {seq}", **more}
    return ("line", seq, data)


def done(last_line: int, state: str = "completed", **more: Any) -> tuple[str, None, dict[str, Any]]:
    """The end of a stream of log lines."""
    data = {"state": state, "reason": None, "message": "", "exit_code": 0, "last_line": last_line, **more}
    return ("done", None, data)


def event(seq: int, kind: str, workload_id: str = WORKLOAD, **data: Any) -> tuple[str, int, dict[str, Any]]:
    """An event as a message of an event stream."""
    return (
        kind,
        seq,
        {
            "seq": seq,
            "id": f"ev_{seq}",
            "type": kind,
            "workload_id": workload_id,
            "version": seq,
            "attempt": 1,
            "actor": "scheduler",
            "time": "2026-01-31T12:00:00Z",
            "data": data,
        },
    )
