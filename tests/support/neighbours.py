"""Honest runs beside hostile ones: each prints numbered lines for a while, and all of them must come through."""

import threading
import time
from types import TracebackType
from typing import Any, NamedTuple, Self

import httpx

View = dict[str, Any]

LINES = 60
_PAUSE_MS = 25
_STARVED_S = 20
"""A neighbour needs about two seconds. One that gets no turn for so long ends with `timed_out`."""
_PROGRAM = f"""
for (let line = 1; line <= {LINES}; line++) {{
  console.log(line);
  console.error(-line);
  await new Promise((resolve) => setTimeout(resolve, {_PAUSE_MS}));
}}
export default () => "unhurt";
"""
_EXPECTED = {
    "state": "completed",
    "reason": None,
    "exit_code": 0,
    "result": "unhurt",
    "stdout": "".join(f"{line}\n" for line in range(1, LINES + 1)),
    "stderr": "".join(f"{-line}\n" for line in range(1, LINES + 1)),
}


def submit(api: httpx.Client, code: str, **spec: Any) -> View:
    """Run a program to its end; the workload's view."""
    body = {"source": {"type": "inline", "code": code}, "runtime": "javascript", **spec}
    answer = api.post("/v1/workloads", params={"wait": 90}, json=body)
    assert answer.status_code == 200, (answer.status_code, answer.text)
    view: View = answer.json()
    return view


class Timed(NamedTuple):
    """A run, and when it was there."""

    began: float
    ended: float
    view: View

    def overlaps(self, other: "Timed") -> bool:
        """True if both were there at some moment."""
        return self.began < other.ended and other.began < self.ended


def timed(api: httpx.Client, code: str, **spec: Any) -> Timed:
    """As `submit`, with the times."""
    began = time.monotonic()
    view = submit(api, code, **spec)
    return Timed(began, time.monotonic(), view)


class Neighbours:
    """For each tenant one honest run after the other, while the context lasts."""

    def __init__(self, tenants: dict[str, httpx.Client]) -> None:
        self.runs: dict[str, list[Timed]] = {name: [] for name in tenants}
        self._over = threading.Event()
        self._failures: list[BaseException] = []
        self._threads = [threading.Thread(target=self._live, args=tenant) for tenant in tenants.items()]

    def _live(self, name: str, api: httpx.Client) -> None:
        try:
            while not self._over.is_set():
                self.runs[name].append(timed(api, _PROGRAM, timeout_s=_STARVED_S, queue_ttl_s=_STARVED_S))
        except (httpx.HTTPError, AssertionError) as error:
            self._failures.append(error)

    def beside(self, hostile: Timed) -> dict[str, list[Timed]]:
        """The runs of each tenant that were there together with this one; those that still go on are waited for."""
        for name, runs in self.runs.items():
            while not (runs and runs[-1].ended > hostile.ended):
                assert not self._failures, (name, self._failures)
                time.sleep(0.05)
        return {name: [run for run in runs if run.overlaps(hostile)] for name, runs in self.runs.items()}

    def assert_unhurt(self, hostile: Timed) -> None:
        """Each tenant had a run beside this one, and whatever was beside it came through, complete and in order."""
        for name, runs in self.beside(hostile).items():
            assert runs, f"tenant {name} had nothing beside it"
            for run in runs:
                found = {field: run.view[field] for field in _EXPECTED}
                assert found == _EXPECTED, (name, run.view)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
