"""A stack of its own for code that means harm, and two tenants on it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from support.neighbours import Neighbours, View, submit
from support.stack import Stack

Run = Callable[..., View]


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """`vulcan up`, whose hosts wait only shortly for another run, so that a test can see that all are gone."""
    folder = tmp_path_factory.mktemp("hostile")
    with Stack.start(folder / "data", VULCAN_V8_KEEP_S="4", VULCAN_V8_RUN_DIR=str(folder / "run")) as running:
        yield running


def _client(stack: Stack, key: str) -> httpx.Client:
    return httpx.Client(base_url=stack.url, headers={"Authorization": f"Bearer {key}"}, timeout=100.0)


@pytest.fixture(scope="session")
def api(stack: Stack) -> Iterator[httpx.Client]:
    """The attacker: tenant `default`."""
    with _client(stack, stack.key) as opened:
        yield opened


@pytest.fixture(scope="session")
def other(stack: Stack, api: httpx.Client) -> Iterator[httpx.Client]:
    """Another tenant."""
    made = api.post("/v1/keys", json={"tenant": "other", "role": "writer", "name": "other"})
    assert made.status_code == 201, made.text
    with _client(stack, made.json()["key"]) as opened:
        yield opened


@pytest.fixture(scope="session")
def run(api: httpx.Client) -> Run:
    """Run as the attacker's tenant."""
    return lambda code, **spec: submit(api, code, **spec)


@pytest.fixture(scope="module")
def neighbours(api: httpx.Client, other: httpx.Client) -> Iterator[Neighbours]:
    """Honest runs of both tenants, one after the other, all the time."""
    with Neighbours({"default": api, "other": other}) as running:
        yield running


@pytest.fixture(scope="session", autouse=True)
def at_start(stack: Stack) -> dict[str, int]:
    """The services' process ids before the first attack."""
    return stack.pids()


@pytest.fixture(scope="session", autouse=True)
def descriptors_at_start(stack: Stack) -> int:
    """How many the executor has open before the first attack."""
    return len(list(Path(f"/proc/{stack.pid('executor-v8')}/fd").iterdir()))
