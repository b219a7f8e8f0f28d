"""The data directory: private, used once at a time, with a key in it."""

import os
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from vulcan_contracts.tenants import new_token, token_id
from vulcan_local.datadir import MAX_SOCKET_PATH_BYTES, DataDir
from vulcan_local.errors import DataDirInUseError, LocalError


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_it_is_made_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        data = DataDir.open(tmp_path / "a" / "b")
        data.ensure_admin_key(None)
    finally:
        os.umask(before)
    assert (mode(data.root), mode(data.logs), mode(data.postgres), mode(data.nats)) == (0o700,) * 4
    assert mode(data.admin_key) == 0o600


def test_one_that_is_open_to_others_is_closed_and_its_parents_are_left_alone(tmp_path: Path) -> None:
    tmp_path.chmod(0o711)
    root = tmp_path / "data"
    root.mkdir(mode=0o755)
    DataDir.open(root)
    assert (mode(root), mode(tmp_path)) == (0o700, 0o711)


def test_a_file_in_its_place_is_told(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(LocalError, match="cannot use the data directory") as raised:
        DataDir.open(tmp_path / "data")
    assert "VULCAN_DATA_DIR" in raised.value.hint


def test_the_second_holder_is_told_who_has_it(tmp_path: Path) -> None:
    data = DataDir.open(tmp_path)
    assert data.holder() is None
    with data.lock("process 123"):
        assert data.holder() == "process 123"
        with pytest.raises(DataDirInUseError, match="process 123"):
            data.lock("another")
    assert data.holder() is None
    with data.lock("another"):
        assert data.holder() == "another"


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    data = DataDir.open(tmp_path)
    code = (
        "import sys, pathlib, os; from vulcan_local.datadir import DataDir\n"
        "lock = DataDir.open(pathlib.Path(sys.argv[1])).lock('it'); print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert data.holder() == "it"
        holder.kill()
    with data.lock("me"):
        assert data.holder() == "me"


def test_a_key_is_made_once_and_kept(tmp_path: Path) -> None:
    data = DataDir.open(tmp_path)
    data.ensure_admin_key(None)
    key = data.admin_key.read_text()
    assert token_id(key.strip()) is not None
    data.ensure_admin_key(None)
    assert data.admin_key.read_text() == key


def test_a_given_key_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    data = DataDir.open(tmp_path)
    data.ensure_admin_key(None)
    given = new_token()
    data.ensure_admin_key(given)
    assert data.admin_key.read_text().strip() == given


def test_a_key_file_open_to_others_is_closed(tmp_path: Path) -> None:
    data = DataDir.open(tmp_path)
    data.ensure_admin_key(None)
    data.admin_key.chmod(0o644)
    data.ensure_admin_key(None)
    assert mode(data.admin_key) == 0o600


def test_what_is_no_key_is_refused_and_not_shown(tmp_path: Path) -> None:
    data = DataDir.open(tmp_path)
    with pytest.raises(LocalError, match="VULCAN_API_KEY is not a key") as raised:
        data.ensure_admin_key("hunter2")
    assert "hunter2" not in f"{raised.value}{raised.value.hint}"
    assert not data.admin_key.exists()
    data.admin_key.write_text("damaged")
    with pytest.raises(LocalError, match=r"admin\.key is not a key"):
        data.ensure_admin_key(None)


@pytest.mark.parametrize("parts", [0, 6])
def test_a_socket_fits_however_long_the_path_is(parts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory(prefix="v", dir="/tmp") as short:
        runtime = Path(short, "r")
        runtime.mkdir()
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
        monkeypatch.setattr("vulcan_local.datadir.ROOT_RUNTIME_DIR", str(runtime))
        data = DataDir.open(Path(short, *["x" * 20] * parts, "data"))
        folder = data.socket_folder("run")
        path = folder / ".s.PGSQL.5432"
        assert len(os.fsencode(path)) <= MAX_SOCKET_PATH_BYTES
        assert mode(folder.parent) == 0o700
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))


def test_a_runtime_folder_that_others_could_enter_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory(prefix="v", dir="/tmp") as short:
        monkeypatch.setenv("XDG_RUNTIME_DIR", short)
        monkeypatch.setattr("vulcan_local.datadir.ROOT_RUNTIME_DIR", short)
        data = DataDir.open(Path(short, *["x" * 20] * 6, "data"))
        private = data.socket_folder("run").parent
        private.chmod(0o755)
        with pytest.raises(LocalError, match="not a private folder"):
            data.socket_folder("run")
