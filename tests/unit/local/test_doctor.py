"""What the machine's checks say, and that they change nothing."""

import os
import socket
from pathlib import Path

from vulcan_local.datadir import DataDir
from vulcan_local.doctor import Check, check_machine


def checks(data: Path, **changed: str) -> dict[str, Check]:
    environ = {"VULCAN_DATA_DIR": str(data), "VULCAN_LISTEN": "127.0.0.1:0", **changed}
    return {check.name: check for check in check_machine(environ)}


def test_the_servers_that_came_along_are_found_and_nothing_is_made(tmp_path: Path) -> None:
    found = checks(tmp_path / "new")
    assert {found[name].status for name in ("nats", "postgres", "deno", "stack here", "address here")} == {"ok"}
    assert "18." in found["postgres"].detail
    assert not (tmp_path / "new").exists()


def test_a_stack_that_runs_is_named(tmp_path: Path) -> None:
    data = DataDir.open(tmp_path)
    with data.lock("process 7"):
        assert checks(tmp_path)["stack here"].detail.endswith("used by process 7")
    assert checks(tmp_path)["stack here"].detail.endswith("not in use")


def test_a_taken_address_comes_with_a_way_out(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        found = checks(tmp_path, VULCAN_LISTEN=f"127.0.0.1:{other.getsockname()[1]}")["address here"]
    assert found.status == "warning"
    assert "VULCAN_LISTEN" in found.hint


def test_given_servers_are_not_looked_for(tmp_path: Path) -> None:
    found = checks(tmp_path, VULCAN_NATS_URL="nats://a:1", VULCAN_DATABASE_URL="postgresql://b/c")
    assert found["nats"].detail == "not embedded: VULCAN_NATS_URL is set"
    assert found["postgres"].detail == "not embedded: VULCAN_DATABASE_URL is set"


def test_wrong_settings_are_named(tmp_path: Path) -> None:
    assert "VULCAN_LISTEN" in checks(tmp_path, VULCAN_LISTEN="x")["settings"].detail


def test_root_is_told_whom_postgres_will_run_as(tmp_path: Path) -> None:
    told = "will run as uid" in checks(tmp_path)["postgres"].detail
    assert told == (os.geteuid() == 0)
