"""The data directory: everything that outlives a stop, for its owner's eyes only, used by one stack at a time."""

import fcntl
import hashlib
import os
import shutil
import stat
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Final

from vulcan_contracts.tenants import new_token, token_id
from vulcan_local.errors import DataDirInUseError, LocalError
from vulcan_local.files import read_small, write_private

MAX_SOCKET_PATH_BYTES: Final = 107
"""What fits in sockaddr_un beside the terminating NUL."""
ROOT_RUNTIME_DIR: Final = "/run"
_ROOM_FOR_A_SOCKET: Final = len("/.s.PGSQL.5432")


class DataDir:
    """The folder and where things are in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.admin_key = root / "admin.key"
        self.endpoint = root / "endpoint"
        self.services = root / "services.json"
        self.logs = root / "logs"
        self.nats = root / "nats"
        self.postgres = root / "postgres"
        self._lock = root / "lock"
        self._runtime: Path | None = None

    @classmethod
    def open(cls, root: Path) -> "DataDir":
        """Make the folder if need be, private to this user.

        Raises:
            LocalError: it cannot be made, or it belongs to somebody else.
        """
        root = Path(os.path.abspath(root))  # noqa: PTH100 - resolve() would follow a link that the user chose
        hint = "Choose another folder with VULCAN_DATA_DIR."
        try:
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = root.stat()
            if found.st_uid != os.geteuid():
                raise LocalError(f"the data directory {root} belongs to another user (uid {found.st_uid})", hint=hint)
            if stat.S_IMODE(found.st_mode) & 0o077:
                root.chmod(0o700)
            data = cls(root)
            for folder in (data.logs, data.nats, data.postgres):
                folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise LocalError(f"cannot use the data directory {root}: {error.strerror}", hint=hint) from error
        return data

    def lock(self, holder: str) -> "Lock":
        """Take the folder for this process until the lock is released or the process is gone.

        Raises:
            DataDirInUseError: another process has it; the message says which.
        """
        descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            held_by = os.pread(descriptor, 500, 0).decode("utf-8", "replace").strip() or "another process"
            os.close(descriptor)
            raise DataDirInUseError(
                f"Vulcan already runs in {self.root}: {held_by}",
                hint="Stop it first, or choose another folder with VULCAN_DATA_DIR.",
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, holder.encode(), 0)
        return Lock(descriptor)

    def holder(self) -> str | None:
        """Who has locked the folder, in words; None if nobody has."""
        try:
            descriptor = os.open(self._lock, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return os.pread(descriptor, 500, 0).decode("utf-8", "replace").strip() or "another process"
        finally:
            os.close(descriptor)
        return None

    def ensure_admin_key(self, given: str | None) -> None:
        """Have an admin key in `admin.key`: the given one, else the one already there, else a new one.

        Raises:
            LocalError: the given key, or the one in the file, is not of a key's form.
        """
        present = read_small(self.admin_key)
        key = given if given is not None else present
        if key is not None and token_id(key.strip()) is None:
            where = "VULCAN_API_KEY" if given is not None else str(self.admin_key)
            raise LocalError(f"{where} is not a key", hint="A key looks like vk_<12 characters>_<40 characters>.")
        text = f"{(key or new_token()).strip()}\n"
        if text != present:
            write_private(self.admin_key, text)
        self.admin_key.chmod(0o600)

    def socket_folder(self, name: str) -> Path:
        """A folder whose path is short enough for Unix sockets, with only this user able to reach into its parent."""
        folder = self.root / name
        if len(os.fsencode(folder)) + _ROOM_FOR_A_SOCKET <= MAX_SOCKET_PATH_BYTES:
            folder.mkdir(mode=0o700, exist_ok=True)
            return folder
        short = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:12]
        as_root = os.geteuid() == 0  # whose XDG_RUNTIME_DIR may be that of the user who called sudo
        runtime = ROOT_RUNTIME_DIR if as_root else os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
        parent = Path(runtime) / f"vulcan-{os.geteuid()}-{short}"
        parent.mkdir(mode=0o700, exist_ok=True)
        found = parent.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
            raise LocalError(f"{parent} is not a private folder of this user", hint="Remove it, then start again.")
        self._runtime = parent
        folder = parent / name
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    def remove_runtime_folder(self) -> None:
        """Take away what `socket_folder` made outside of the data directory. For after the stop."""
        if self._runtime is not None:
            shutil.rmtree(self._runtime)
            self._runtime = None


class Lock:
    """A taken data directory. The kernel gives it back if the process dies."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __enter__(self) -> "Lock":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)
