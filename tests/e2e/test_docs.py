"""What the documentation tells a reader to type works as it stands."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from support.documents import ROOT, Block, blocks, script, transcript
from support.stack import Stack

Run = Callable[..., "subprocess.CompletedProcess[str]"]

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="the examples call curl")


@pytest.fixture
def reader(stack: Stack, tmp_path: Path) -> Run:
    """Somebody who has just started Vulcan in a fresh checkout, and has nothing else."""
    data = tmp_path / ".local" / "share" / "vulcan"
    data.parent.mkdir(parents=True)
    data.symlink_to(stack.data)
    (tmp_path / ".venv").symlink_to(Path(sys.executable).parents[1])
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "main.ts").write_text("console.log('a project')")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("VULCAN_")}
    path = f"{Path(sys.executable).parent}:{kept['PATH']}"

    def run(*command: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [part.replace("127.0.0.1:8080", stack.url.removeprefix("http://")) for part in command],
            cwd=tmp_path,
            env=kept | {"HOME": str(tmp_path), "PATH": path} | variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=100,
        )

    return run


@pytest.mark.parametrize("document", ["README.md", "docs/api.md"])
def test_the_shell_commands(document: str, reader: Run) -> None:
    done = reader("bash", "-c", script(document), DOCUMENT=document)
    assert done.returncode == 0, f"{done.stderr}\n{done.stdout[-2000:]}"


@pytest.mark.parametrize("block", blocks("docs/cli.md", "console"), ids=lambda block: f"line {block.line}")
def test_the_transcripts(block: Block, reader: Run) -> None:
    for command, output in transcript(block):
        done = reader("bash", "-euo", "pipefail", "-c", command)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        assert done.stdout == output or not output, command


@pytest.mark.parametrize(
    ("document", "block"),
    [(name, block) for name in ("README.md", "docs/sdk.md") for block in blocks(name, "python")],
    ids=lambda part: part if isinstance(part, str) else f"line {part.line}",
)
def test_the_python_snippets(document: str, block: Block, reader: Run) -> None:
    done = reader(sys.executable, "-c", block.text)
    assert done.returncode == 0, f"{document}:{block.line}: {done.stderr}"
    assert done.stdout


def test_every_document_is_looked_at() -> None:
    """A new document with commands in it is run too, or says of each block why not."""
    run_here = {"README.md", "docs/api.md", "docs/cli.md", "docs/sdk.md"}
    documents = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    names = {str(path.relative_to(ROOT)) for path in documents}
    assert [name for name in names - run_here if blocks(name, "sh", "console", "python")] == []
