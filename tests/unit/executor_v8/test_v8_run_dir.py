"""Where a node keeps its sockets and sources."""

import os
import stat
import tempfile
from pathlib import Path

import pytest

from vulcan_chassis.errors import StartError
from vulcan_executor_v8.settings import V8Settings
from vulcan_executor_v8.wiring import run_dir


def test_the_folder_is_open_to_its_user_only(tmp_path: Path) -> None:
    folder = run_dir(V8Settings(run_dir=str(tmp_path)), "n")
    assert folder == tmp_path / "n"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_folder_in_the_temporary_one_must_be_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 4242)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    with pytest.raises(StartError, match="belongs to another user"):
        run_dir(V8Settings(), "n")


def test_a_link_in_the_temporary_folder_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    user = 4242 if os.geteuid() == 0 else os.geteuid()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / f"vulcan-v8-{user}").symlink_to(tmp_path / "elsewhere")
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    with pytest.raises(StartError, match="belongs to another user"):
        run_dir(V8Settings(), "n")
