"""`vulcan up` as a whole: refusals in words, ends in every way, and nothing left behind."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from support.nats import NatsServer
from support.postgres import PostgresServer
from support.stack import Stack

VULCAN = str(Path(sys.executable).with_name("vulcan"))
DEADLINE_S = 60.0


def environ(data: Path, **changed: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("VULCAN_")}
    given = {"VULCAN_DATA_DIR": str(data), "VULCAN_LISTEN": "127.0.0.1:0", "VULCAN_INSTALL": "0", "VULCAN_SAMPLE": "0"}
    return {**kept, **given, **changed}


def up(data: Path, **changed: str) -> "subprocess.CompletedProcess[str]":
    """Run it to its end, which comes by itself."""
    return subprocess.run(
        [VULCAN, "up"], env=environ(data, **changed), capture_output=True, text=True, timeout=DEADLINE_S
    )


def descendants(pid: int) -> list[int]:
    """All processes below this one."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            parents.setdefault(parent, []).append(int(entry.name))
    found = list(parents.get(pid, []))
    for child in found:
        found += parents.get(child, [])
    return found


def alive(pids: list[int]) -> list[str]:
    """Those of the processes that still run, by their command lines."""
    found = []
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
            if state != "Z":
                found.append(Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


def wait_until(condition: Callable[[], bool], why: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, why()
        time.sleep(0.05)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack.start(tmp_path_factory.mktemp("up")) as running:
        yield running


def test_a_second_one_in_the_same_directory_is_told_who_is_there(stack: Stack) -> None:
    second = up(stack.data)
    assert second.returncode == 1
    assert f"Vulcan already runs in {stack.data}: process " in second.stdout
    assert "VULCAN_DATA_DIR" in second.stdout
    assert set(stack.pids()) == {"nats", "postgres", "logstore", "scheduler", "executor-v8", "gateway"}


def test_an_address_that_is_taken_is_told(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        refused = up(tmp_path, VULCAN_LISTEN=taken)
    assert refused.returncode == 1
    assert f"{taken} is taken by another program" in refused.stdout
    assert "VULCAN_LISTEN" in refused.stdout


def test_wrong_settings_are_told_without_a_start(tmp_path: Path) -> None:
    refused = up(tmp_path, VULCAN_LISTEN="nowhere", VULCAN_START_TIMEOUT_S="-1")
    assert refused.returncode == 2
    assert "VULCAN_LISTEN" in refused.stderr
    assert "VULCAN_START_TIMEOUT_S" in refused.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_service_that_cannot_start_is_told_with_its_last_words(tmp_path: Path) -> None:
    refused = up(tmp_path, VULCAN_V8_SLOTS="many")
    assert refused.returncode == 1
    assert "executor-v8 ended with exit code 2\n" in refused.stdout
    assert "VULCAN_V8_SLOTS is not valid" in refused.stdout


def test_no_service_has_the_key_or_the_password_where_others_could_read_it(stack: Stack) -> None:
    password = (stack.data / "nats" / "url").read_text().partition("@")[0].rpartition(":")[2]
    assert len(password) > 30
    for pid in stack.pids().values():
        shown = Path(f"/proc/{pid}/cmdline").read_bytes() + Path(f"/proc/{pid}/environ").read_bytes()
        assert stack.key.encode() not in shown
        assert password.encode() not in shown
    for log in (stack.data / "logs").iterdir():
        assert password not in log.read_text()
        assert stack.key not in log.read_text()


def test_a_given_key_opens_it(tmp_path: Path) -> None:
    key = "vk_" + "a1" * 6 + "_" + "Zz" * 20
    with Stack.start(tmp_path, VULCAN_API_KEY=key) as stack:
        assert stack.key == key
        listed = subprocess.run(
            [VULCAN, "nodes", "--json"], env=environ(tmp_path), capture_output=True, text=True, timeout=DEADLINE_S
        )
        assert listed.returncode == 0, listed.stderr


def test_given_servers_take_the_place_of_the_embedded_ones(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="v", dir="/tmp") as short:
        Path(short).chmod(0o755)  # PostgreSQL runs as another user if this is root
        with NatsServer(tmp_path / "nats") as nats, PostgresServer(Path(short)) as postgres:
            given = {"VULCAN_NATS_URL": nats.url, "VULCAN_DATABASE_URL": postgres.create_database()}
            with Stack.start(tmp_path / "data", **given) as stack:
                assert set(stack.pids()) == {"logstore", "scheduler", "executor-v8", "gateway"}
                answer = httpx.get(f"{stack.url}/v1/workloads", headers={"Authorization": f"Bearer {stack.key}"})
                assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_while_it_starts_stops_what_is_there(tmp_path: Path, how: signal.Signals) -> None:
    with subprocess.Popen([VULCAN, "up"], env=environ(tmp_path), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("nats") and "ready" in line:
                break
        below = descendants(process.pid)
        process.send_signal(how)
        rest = process.stdout.read()
        assert process.wait(DEADLINE_S) == 0, rest
    assert "all stopped" in rest
    assert alive(below) == []
    assert not (tmp_path / "endpoint").exists()


def test_nothing_is_left_when_it_is_killed_and_the_next_start_works(tmp_path: Path) -> None:
    with Stack.start(tmp_path) as stack:
        below = descendants(stack.supervisor_pid)
        assert len(below) > 10  # the services, PostgreSQL's workers, V8 hosts in their jails
        stack.crash()
        wait_until(lambda: not alive(below), lambda: alive(below))
        stack.restart()
        assert stack.pids()


def test_the_second_signal_ends_all_at_once(tmp_path: Path) -> None:
    stack = Stack.start(tmp_path)
    below = descendants(stack.supervisor_pid)
    gateway = stack.pid("gateway")
    os.kill(gateway, signal.SIGSTOP)  # it cannot stop by itself
    os.kill(stack.supervisor_pid, signal.SIGINT)
    wait_until(lambda: "stopping" in stack.output(), stack.output)
    stack.stop()
    assert alive(below) == []
