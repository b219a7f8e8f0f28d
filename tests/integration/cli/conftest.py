"""The `vulcan` command before real services."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.platform import Platform
from support.postgres import PostgresServer, postgres_server
from vulcan_sdk import Vulcan

__all__ = ["postgres_server"]


@pytest.fixture(scope="module")
def platform(postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    database_url = postgres_server.create_database()
    with Platform(tmp_path_factory.mktemp("platform"), database_url) as running:
        yield running
    postgres_server.drop_database(database_url)


@pytest.fixture
def client(platform: Platform) -> Iterator[Vulcan]:
    with Vulcan(platform.url, platform.key, environ={}) as opened:
        yield opened


@pytest.fixture
def start(platform: Platform, tmp_path: Path) -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Starts a command line."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("VULCAN_")}
    environ |= {"VULCAN_URL": platform.url, "VULCAN_API_KEY_FILE": str(platform.key_file), "HOME": str(tmp_path)}
    started: list[subprocess.Popen[str]] = []

    def call(*words: str, **options: Any) -> "subprocess.Popen[str]":
        streams: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        command = [str(Path(sys.executable).parent / "vulcan"), *words]
        process = subprocess.Popen(command, text=True, cwd=tmp_path, **{"env": environ} | streams | options)
        started.append(process)
        return process

    yield call
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def vulcan(start: Callable[..., "subprocess.Popen[str]"]) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Runs a command line to its end."""

    def call(*words: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
        process = start(*words)
        out, err = process.communicate(stdin, timeout=90)
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    return call
