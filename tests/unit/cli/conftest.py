"""The command in this process and as a process of its own, before a scripted server."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from support.http_server import HttpServer
from vulcan_cli.main import run


class Done(NamedTuple):
    """How a command line ended."""

    code: int
    out: str
    err: str


Vulcan = Callable[..., Done]


@pytest.fixture
def server() -> Iterator[HttpServer]:
    with HttpServer.running() as running:
        yield running


@pytest.fixture(autouse=True)
def environment(server: HttpServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of this machine's own Vulcan is found; the scripted server is."""
    for name in [name for name in os.environ if name.startswith("VULCAN_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("VULCAN_URL", server.url)
    monkeypatch.setenv("VULCAN_API_KEY", "vk_test")


@pytest.fixture
def vulcan(capsys: pytest.CaptureFixture[str]) -> Vulcan:
    """Runs a command line in this process."""

    def call(*words: str) -> Done:
        code = run(list(words))
        captured = capsys.readouterr()
        return Done(code, captured.out, captured.err)

    return call


@pytest.fixture
def start() -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Starts a command line as a process."""
    started: list[subprocess.Popen[str]] = []

    def call(*words: str, **options: Any) -> "subprocess.Popen[str]":
        streams: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        command = [str(Path(sys.executable).parent / "vulcan"), *words]
        process = subprocess.Popen(command, text=True, **streams | options)
        started.append(process)
        return process

    yield call
    for process in started:
        process.kill()
        process.communicate()
