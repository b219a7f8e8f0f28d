"""Run every benchmark against a stack of its own, print the ratios and write them to build/bench.json."""

import argparse
import tempfile
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from bench import overhead, v8_latency
from bench.harness import Figure
from support.stack import Stack


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=100, help="samples of each arm (at least 30)")
    parser.add_argument("--out", type=Path, default=Path("build/bench.json"))
    options = parser.parse_args()
    console = Console()
    with tempfile.TemporaryDirectory(prefix="vulcan-bench-") as folder:
        console.print("starting the stack")
        with Stack.start(Path(folder) / "data") as stack:
            figures = [
                *v8_latency.figures(stack, Path(folder), options.samples),
                *overhead.figures(stack, options.samples),
            ]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_bytes(msgspec.json.format(msgspec.json.encode(figures), indent=2) + b"\n")
    console.print(_table(figures))
    console.print(f"written to {options.out}")


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
