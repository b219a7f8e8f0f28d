"""The code blocks of the documentation, to be run as a reader would.

A comment before a block says what to make of it: `<!-- not run: why -->` leaves it out, `<!-- refused: 422 -->` means
that its calls are answered with that status.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parents[2]

_BLOCK: Final = re.compile(
    r"^(?:<!-- (?P<marker>[^>]*) -->\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
# Answers of 400 and more fail the script, but where the document says that it is refused.
_PREAMBLE: Final = (
    "set -eEuo pipefail; trap 'echo \"$DOCUMENT:$LINENO: $BASH_COMMAND\" >&2' ERR; REFUSED=; "
    'curl() { if [ -z "$REFUSED" ]; then command curl --fail-with-body "$@"; '
    'else [ "$(command curl -o /dev/stderr -w \'%{http_code}\' "$@")" = "$REFUSED" ]; fi; }; '
)


class Block(NamedTuple):
    """One fenced block: its language, its text, the line that it begins in, and the words of the comment before it."""

    language: str
    text: str
    line: int
    marker: str

    @property
    def runs(self) -> bool:
        """Whether a reader can run it as it stands."""
        return not self.marker.startswith("not run")


def blocks(document: str, *languages: str) -> list[Block]:
    """The blocks of a document in these languages that can be run."""
    text = (ROOT / document).read_text("utf-8")
    found = [
        Block(match["language"], match["text"], text.count("\n", 0, match.start("text")) + 1, match["marker"] or "")
        for match in _BLOCK.finditer(text)
    ]
    return [block for block in found if block.runs and block.language in languages]


def script(document: str) -> str:
    """All its shell blocks as one bash script, each command in the line that it has in the document."""
    lines = [""] * len((ROOT / document).read_text("utf-8").splitlines())
    lines[0] = _PREAMBLE
    for block in blocks(document, "sh"):
        if block.marker.startswith("refused: "):
            lines[block.line - 2] = f"REFUSED={block.marker.removeprefix('refused: ')}"
            lines[block.line + block.text.count("\n") - 1] = "REFUSED="
        lines[block.line - 1 : block.line - 1 + block.text.count("\n")] = block.text.splitlines()
    return "\n".join(lines) + "\n"


def transcript(block: Block) -> Iterator[tuple[str, str]]:
    """The commands of a console block, each with what it prints according to the document."""
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        yield command, output
