"""The API against the document that it gives of itself, by schemathesis: no 5xx, and nothing that is not in it."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from support.neighbours import submit
from support.stack import Stack
from vulcan_gateway.app import HANDLERS

_ROOT = Path(__file__).parents[2]
_TIMEOUT_S = 150
_SHOWN_CHARS = 12_000
pytestmark = pytest.mark.timeout(_TIMEOUT_S + 60)


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack of its own: what is written there is written by chance."""
    with Stack.start(tmp_path_factory.mktemp("fuzzed") / "data") as running:
        yield running
        with _api(running) as api:
            for state in ("pending", "running"):
                for item in api.get("/v1/workloads", params={"state": state, "limit": 500}).json()["items"]:
                    api.post(f"/v1/workloads/{item['id']}/kill")


def _api(stack: Stack) -> httpx.Client:
    return httpx.Client(base_url=stack.url, headers={"Authorization": f"Bearer {stack.key}"}, timeout=60.0)


@pytest.fixture(scope="module")
def ended(fuzzed: Stack) -> str:
    """The ids of some workloads that are over."""
    print_some = "for (let n = 0; n < 30; n++) console.log(n); Vulcan.artifact('a/b.txt', 'x'); export default () => 1;"
    with _api(fuzzed) as api:
        views = [submit(api, code, artifacts=["**"]) for code in (print_some, "throw new Error('x');")]
    return " ".join(view["id"] for view in views)


_OPERATIONS = len(HANDLERS) - 1
"""All but the document itself, which is read to begin with."""
PHASES = [
    pytest.param("examples", 1, 4, id="examples"),
    pytest.param("coverage", 1, _OPERATIONS, id="coverage"),
    pytest.param("fuzzing", 20, _OPERATIONS, id="fuzzing"),
    pytest.param("stateful", 40, 10, id="stateful"),
]


@pytest.mark.parametrize(("phase", "examples", "operations"), PHASES)
def test_the_api_does_what_its_document_says(
    fuzzed: Stack, ended: str, phase: str, examples: int, operations: int
) -> None:
    """So many examples of each operation, and at least so many operations are tried."""
    pids = fuzzed.pids()
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(_ROOT / "tests/support/fuzzing.toml")),
        *("run", f"{fuzzed.url}/schema", "--header", f"Authorization: Bearer {fuzzed.key}", "--no-color"),
        *("--phases", phase, "--max-examples", str(examples)),
    ]
    environ = {
        **os.environ,
        "SCHEMATHESIS_HOOKS": str(_ROOT / "tests/support/fuzzing.py"),
        "FUZZ_WORKLOADS": ended,
        "FUZZ_KEY_ID": fuzzed.key.split("_")[1],
    }
    ran = subprocess.run(command, cwd=_ROOT, env=environ, capture_output=True, text=True, timeout=_TIMEOUT_S)
    assert ran.returncode == 0, f"{ran.stdout[:_SHOWN_CHARS]}\n...\n{ran.stdout[-_SHOWN_CHARS:]}\n{ran.stderr}"
    tested = re.search(r"Tested: +(\d+)", ran.stdout)
    assert tested is not None, ran.stdout
    assert int(tested[1]) >= operations, ran.stdout
    assert fuzzed.pids() == pids
    assert "internal_error" not in fuzzed.output()
