"""Run the benchmarks, print the ratios and write them to build/bench.json."""

import argparse
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console
from rich.table import Table

from bench import log_lines, noop_throughput, overhead, sse_fanout, submits, v8_latency, v8_memory, v8_throughput
from bench.harness import Benchmark, Figure, Options

BENCHMARKS: Final[dict[str, Benchmark]] = {
    "v8-latency": v8_latency.figures,
    "v8-throughput": v8_throughput.figures,
    "v8-memory": v8_memory.figures,
    "overhead": overhead.figures,
    "submits": submits.figures,
    "sse-fanout": sse_fanout.figures,
    "log-lines": log_lines.figures,
    "noop-throughput": noop_throughput.figures,
}
_LEAST_SAMPLES: Final = 30


def main() -> None:
    """The command. It ends with 1 if a benchmark could not be run; a goal that is missed is a result, not a failure."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, metavar="NAME", default=list(BENCHMARKS))
    parser.add_argument("--samples", type=int, default=100, help=f"of each arm (at least {_LEAST_SAMPLES})")
    parser.add_argument("--out", type=Path, default=Path("build/bench.json"))
    options = parser.parse_args()
    if options.samples < _LEAST_SAMPLES:
        parser.error(f"--samples must be at least {_LEAST_SAMPLES}")
    console = Console()
    figures: list[Figure] = []
    failed: list[str] = []
    for name in options.only:
        console.print(f"{name} ...")
        try:
            taken = _run(BENCHMARKS[name], options.samples)
        except Exception:  # noqa: BLE001  whatever one of them raises must not lose the others
            traceback.print_exc()
            failed.append(name)
            continue
        figures += taken
        _write(options.out, figures)
        for figure in taken:
            console.print(f"  {figure.what}: {figure.ratio:.2f}")
    console.print(_table(figures))
    console.print(f"written to {options.out}")
    if failed:
        sys.exit(f"could not be run: {', '.join(failed)}")


def _run(benchmark: Benchmark, samples: int) -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="vulcan-bench-") as folder:
        return benchmark(Options(samples=samples, folder=Path(folder)))


def _write(path: Path, figures: list[Figure]) -> None:
    """After each benchmark, so that an interrupt loses only the one that runs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(figures), indent=2) + b"\n")


def _table(figures: list[Figure]) -> Table:
    table = Table("what", "ours", "theirs", "ratio", "goal", "")
    for figure in figures:
        sign = "<=" if figure.better == "lower" else ">="
        table.add_row(
            figure.what,
            f"{figure.ours:.2f} {figure.unit}",
            f"{figure.theirs:.2f} {figure.unit}",
            f"{figure.ratio:.2f}",
            f"{sign} {figure.goal:g}",
            "reached" if figure.reached else "missed",
        )
    return table


if __name__ == "__main__":
    main()
