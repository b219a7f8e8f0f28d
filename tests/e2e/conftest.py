"""The real stack, started once the way a user starts it, and ways to speak to it."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from support.stack import Stack, Vulcan


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """`vulcan up` in a data directory of its own."""
    running = Stack.start(tmp_path_factory.mktemp("data"))
    yield running
    running.stop()


@pytest.fixture
def api(stack: Stack) -> Iterator[httpx.Client]:
    """A plain HTTP client with the admin key."""
    with client(stack, stack.key) as opened:
        yield opened


def client(stack: Stack, key: str) -> httpx.Client:
    """A plain HTTP client with this key."""
    return httpx.Client(base_url=stack.url, headers={"Authorization": f"Bearer {key}"}, timeout=60.0)


@pytest.fixture
def run(api: httpx.Client) -> Callable[..., dict[str, Any]]:
    """Submit and wait; gives the workload's view."""

    def submit(source: str | dict[str, Any], **spec: Any) -> dict[str, Any]:
        body = {"source": {"type": "inline", "code": source} if isinstance(source, str) else source, **spec}
        if body["source"]["type"] == "inline":
            body.setdefault("runtime", "typescript")
        answer = api.post("/v1/workloads", params={"wait": 45}, json=body)
        assert answer.status_code == 200, answer.text
        view: dict[str, Any] = answer.json()
        return view

    return submit


@pytest.fixture
def vulcan(stack: Stack) -> Vulcan:
    """The `vulcan` command, pointed at the stack."""
    return stack.vulcan
