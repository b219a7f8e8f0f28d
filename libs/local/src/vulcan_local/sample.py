"""One small program on every backend that works here, so that a new installation shows at once what it can do."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from msgspec import Struct
from rich.console import Console as RichConsole
from rich.table import Table

from vulcan_contracts.spec import Backend, InlineSource, Runtime, Spec
from vulcan_contracts.views import BackendView, WorkloadView
from vulcan_local.console import Console
from vulcan_sdk.async_client import AsyncVulcan
from vulcan_sdk.errors import VulcanError

PROGRAMS: Final[Mapping[Runtime, str]] = {
    "javascript": "console.log('hello from JavaScript')",
    "typescript": "const language: string = 'TypeScript';\nconsole.log(`hello from ${language}`)",
    "python": "print('hello from Python')",
    "node": "console.log('hello from Node')",
    "go": 'package main\n\nimport "fmt"\n\nfunc main() { fmt.Println("hello from Go") }',
    "shell": "echo hello from the shell",
}
LABELS: Final = {"vulcan": "sample"}
_TIMEOUT_S: Final = 60.0


class SampleRun(Struct, frozen=True, kw_only=True):
    """One program that was tried, with its workload or what kept it from running."""

    backend: Backend
    runtime: Runtime
    workload: WorkloadView | None
    problem: str = ""

    @property
    def worked(self) -> bool:
        """True if the program printed what it should."""
        return self.workload is not None and self.workload.state == "completed" and bool(self.workload.stdout)


class SampleReport(Struct, frozen=True, kw_only=True):
    """All that was tried, and the backends that do not work here."""

    runs: list[SampleRun]
    unavailable: list[BackendView]
    warnings: list[str] = []
    """What is weaker here than it could be, and what to do."""


async def run_samples(vulcan: AsyncVulcan) -> SampleReport:
    """Run a program in every language that a working backend offers, one after the other.

    Raises:
        VulcanError: the backends cannot even be listed.
    """
    backends = await vulcan.backends()
    runs = [
        await _try(vulcan, backend.isolation, runtime, code)
        for backend in backends
        if backend.available
        for runtime, code in PROGRAMS.items()
        if backend.report is None or runtime in backend.report.runtimes
    ]
    warnings = [f"{one.isolation}: {text}" for one in backends if one.report for text in one.report.warnings]
    return SampleReport(
        runs=runs, unavailable=[backend for backend in backends if not backend.available], warnings=warnings
    )


async def _try(vulcan: AsyncVulcan, backend: Backend, runtime: Runtime, code: str) -> SampleRun:
    spec = Spec(source=InlineSource(code=code), isolation=backend, runtime=runtime, labels=dict(LABELS))
    try:
        workload = await vulcan.run(spec, timeout_s=_TIMEOUT_S)
    except VulcanError as error:
        return SampleRun(backend=backend, runtime=runtime, workload=None, problem=error.message)
    return SampleRun(backend=backend, runtime=runtime, workload=workload)


async def show_samples(url: str, key_file: Path, console: Console) -> None:
    """Run them on this Vulcan, and show what came of it."""
    key = key_file.read_text("utf-8").strip()  # noqa: ASYNC240 - a line on a local disk
    try:
        async with AsyncVulcan(url, key) as vulcan:
            report = await run_samples(vulcan)
    except VulcanError as error:
        console.say(f"the sample could not run: {error}\n")
        return
    console.say(f"{render(report, colours=console.colours, width=console.width)}\n")


def render(report: SampleReport, *, colours: bool, width: int) -> str:
    """The report as text for a terminal."""
    table = Table(title="a sample on every backend, times in ms", title_justify="left", title_style="bold")
    for name in ("backend", "runtime", "result"):
        table.add_column(name, no_wrap=True)
    table.add_column("output", overflow="fold")
    for name in ("queued", "start", "run", "total"):
        table.add_column(name, justify="right", no_wrap=True)
    for run in report.runs:
        table.add_row(*_row(run), style=None if run.worked else "red")
    console = RichConsole(force_terminal=colours, no_color=not colours, width=width, highlight=False)
    with console.capture() as captured:
        if report.runs:
            console.print(table)
        for warning in report.warnings:
            console.print(warning, style="yellow", markup=False)
        for backend in report.unavailable:
            why = ". ".join(text.rstrip(".") for text in (backend.unavailable_reason, backend.hint) if text)
            console.print(f"{backend.isolation} is not available here: {why}.", style="dim", markup=False)
    return captured.get().rstrip("\n")


def _row(run: SampleRun) -> list[str]:
    if run.workload is None:
        return [run.backend, run.runtime, "refused", run.problem, "", "", "", ""]
    view, timings = run.workload, run.workload.timings
    result = "ok" if run.worked else f"{view.state} {view.reason or ''}".strip()
    output = view.stdout.strip() if run.worked else view.message or view.stderr.strip()
    times = (timings.queued_ms, timings.sandbox_ready_ms, timings.run_ms, timings.total_ms)
    return [run.backend, run.runtime, result, output, *map(_ms, times)]


def _ms(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"
