"""What commands print: JSON for programs, aligned columns for people, coloured on a terminal unless NO_COLOR is set."""

import os
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from vulcan_cli.text import plain

_COLOURS: Final = {
    "completed": "32", "running": "36", "pending": "33", "failed": "31", "killed": "35",
    "ready": "32", "lost": "31", "draining": "33", "stopping": "33", "stopped": "33",
    "yes": "32", "no": "31", "ok": "32", "warning": "33", "FAILED": "31",
}  # fmt: skip
DIM: Final = "2"
BOLD: Final = "1"


def coloured(stream: Any) -> bool:
    """True if escape sequences are welcome there."""
    return bool(stream.isatty()) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, colour: str, stream: Any) -> str:
    """The text in a colour, where colours are welcome."""
    return f"\x1b[{colour}m{text}\x1b[0m" if coloured(stream) else text


def print_json(value: Any) -> None:
    """One JSON document: indented for a terminal, else on one line."""
    encoded = msgspec.json.encode(value)
    if sys.stdout.isatty():
        encoded = msgspec.json.format(encoded, indent=2)
    write_line(encoded.decode())


def write_line(text: str) -> None:
    """A line on stdout that is out when this returns."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def note(text: str) -> None:
    """A line for the person on stderr."""
    sys.stdout.flush()
    sys.stderr.write(paint(plain(text), DIM, sys.stderr) + "\n")
    sys.stderr.flush()


def table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Aligned columns with two spaces between; never wrapped or cut when piped, so that tools can read them."""
    cells = [[plain(cell) if cell not in (None, "") else "-" for cell in row] for row in rows]
    widths = [max(_width(line[column]) for line in [list(headers), *cells]) for column in range(len(headers))]
    lines = [_line(headers, widths, header=True), *(_line(row, widths, header=False) for row in cells)]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def _line(cells: Sequence[str], widths: list[int], *, header: bool) -> str:
    padded = [cell + " " * (width - _width(cell)) for cell, width in zip(cells, widths, strict=True)]
    room = os.get_terminal_size(sys.stdout.fileno()).columns if sys.stdout.isatty() else None
    if room and sum(widths) + 2 * (len(widths) - 1) > room:
        last = max(8, room - sum(widths[:-1]) - 2 * (len(widths) - 1))
        padded[-1] = cells[-1] if _width(cells[-1]) <= last else _cut(cells[-1], last - 1) + "…"
    if header:
        return paint("  ".join(padded).rstrip(), BOLD, sys.stdout)
    return "  ".join(
        paint(text, _COLOURS[cell], sys.stdout) if cell in _COLOURS else text
        for cell, text in zip(cells, padded, strict=True)
    ).rstrip()


def _width(text: str) -> int:
    """The columns that a text takes on a terminal."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _cut(text: str, width: int) -> str:
    while _width(text) > width:
        text = text[:-1]
    return text


def facts(pairs: Iterable[tuple[str, object]]) -> None:
    """`name: value` lines, those without a value left out."""
    shown = [(name, plain(value)) for name, value in pairs if value not in (None, "", [], {})]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        painted = paint(value, _COLOURS[value], sys.stdout) if value in _COLOURS else value
        sys.stdout.write(f"{paint(name.ljust(width), DIM, sys.stdout)}  {painted}\n")
    sys.stdout.flush()
