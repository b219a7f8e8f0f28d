"""The real nats-server and PostgreSQL in a data directory: they keep what they were given, whatever ends them."""

import asyncio
import os
import signal
import stat
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from support.told import Told
from vulcan_eventstore.connection import Bus, NatsSettings
from vulcan_eventstore.errors import EventStoreUnavailableError
from vulcan_eventstore.streams import StreamSettings, ensure_streams
from vulcan_local.datadir import DataDir
from vulcan_local.errors import LocalError
from vulcan_local.nats import EmbeddedNats
from vulcan_local.policy import RestartPolicy
from vulcan_local.ports import Ports
from vulcan_local.postgres import EmbeddedPostgres
from vulcan_local.supervisor import Supervisor

DEADLINE_S = 30.0


@asynccontextmanager
async def nats_up(data: DataDir) -> AsyncIterator[tuple[EmbeddedNats, Told]]:
    told = Told()
    supervisor = Supervisor(told, RestartPolicy())
    nats = EmbeddedNats(data, Ports())
    try:
        await supervisor.start([nats.service(nats.configure(), ready_timeout_s=DEADLINE_S, stop_timeout_s=DEADLINE_S)])
        yield nats, told
    finally:
        await supervisor.stop([])


@asynccontextmanager
async def postgres_up(data: DataDir) -> AsyncIterator[tuple[EmbeddedPostgres, Told]]:
    told = Told()
    supervisor = Supervisor(told, RestartPolicy())
    postgres = EmbeddedPostgres(data)
    await postgres.prepare()
    try:
        await supervisor.start([postgres.service(ready_timeout_s=DEADLINE_S, stop_timeout_s=DEADLINE_S)])
        yield postgres, told
    finally:
        await supervisor.stop([])


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110 - what it waits for happens in another process
            await asyncio.sleep(0.02)


def count(told: Told, note: str) -> int:
    return sum(note in line for line in told.notes)


def sockets_of(pid: int) -> set[str]:
    """The kinds of the sockets on which the process listens."""
    mine = {str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir() if entry.is_symlink()}
    kinds = {"unix": 6, "tcp": 9, "tcp6": 9}
    found = set()
    for kind, inode_column in kinds.items():
        for line in Path(f"/proc/{pid}/net/{kind}").read_text().splitlines()[1:]:
            if f"socket:[{line.split()[inode_column]}]" in mine:
                found.add(kind)
    return found


async def rows(url: str) -> int:
    connection = await asyncpg.connect(url, timeout=DEADLINE_S)
    try:
        found: int = await connection.fetchval("SELECT count(*) FROM kept")
        return found
    finally:
        await connection.close()


async def fill(url: str) -> None:
    connection = await asyncpg.connect(url, timeout=DEADLINE_S)
    try:
        await connection.execute("CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n")
    finally:
        await connection.close()


async def test_nats_takes_its_own_credentials_and_nobody_else(tmp_path: Path) -> None:
    async with nats_up(DataDir.open(tmp_path)) as (nats, told):
        url = nats.url_file.read_text().strip()
        assert stat.S_IMODE(nats.url_file.stat().st_mode) == 0o600
        bus = await Bus.connect(NatsSettings(url=url), name="test")
        await bus.close()
        bare = f"nats://{url.partition('@')[2]}"
        with pytest.raises(EventStoreUnavailableError):
            await Bus.connect(NatsSettings(url=bare, connect_timeout_s=5.0), name="test")
        await until(lambda: "authentication error" in told.tail("nats"))


async def test_nats_comes_back_on_its_port_with_its_streams_after_kill_9_and_after_a_stop(tmp_path: Path) -> None:
    data = DataDir.open(tmp_path)
    async with nats_up(data) as (nats, told):
        url = nats.url_file.read_text().strip()
        bus = await Bus.connect(NatsSettings(url=url), name="test")
        await ensure_streams(bus, StreamSettings())
        os.kill(told.pids["nats"], signal.SIGKILL)
        await until(lambda: count(told, "ready in") == 2)
        await until(lambda: bus.connected)
        await bus.close()
    async with nats_up(data) as (nats, _):
        assert nats.url_file.read_text().strip() == url
    assert list((tmp_path / "nats" / "jetstream").rglob("EVENTS"))


async def test_postgres_keeps_its_data_over_a_stop_and_over_kill_9(tmp_path: Path) -> None:
    data = DataDir.open(tmp_path)
    async with postgres_up(data) as (postgres, _):
        await fill(postgres.url)
    async with postgres_up(data) as (postgres, told):
        assert await rows(postgres.url) == 1000
        os.kill(told.pids["postgres"], signal.SIGKILL)
        await until(lambda: count(told, "ready in") == 2)
        assert await rows(postgres.url) == 1000
        assert "database system was not properly shut down" in told.tail("postgres")


async def test_postgres_is_stopped_in_good_order_with_clients_connected(tmp_path: Path) -> None:
    async with postgres_up(DataDir.open(tmp_path)) as (postgres, told):
        connection = await asyncpg.connect(postgres.url, timeout=DEADLINE_S)
    connection.terminate()
    assert "database system is shut down" in told.tail("postgres")


async def test_a_pid_file_of_a_process_that_is_another_one_by_now_is_no_hindrance(tmp_path: Path) -> None:
    data = DataDir.open(tmp_path)
    async with postgres_up(data) as (postgres, _):
        await fill(postgres.url)
    (tmp_path / "postgres" / "data" / "postmaster.pid").write_text(f"{os.getpid()}\n/x\n1\n5432\n/x\n\n 1 1\nready\n")
    async with postgres_up(data) as (postgres, _):
        assert await rows(postgres.url) == 1000


async def test_a_cut_off_first_start_is_made_good(tmp_path: Path) -> None:
    data = DataDir.open(tmp_path)
    (tmp_path / "postgres" / "data.new").mkdir()
    (tmp_path / "postgres" / "data.new" / "PG_VERSION").write_text("18\n")
    async with postgres_up(data) as (postgres, _):
        await fill(postgres.url)


async def test_a_database_of_another_version_is_told(tmp_path: Path) -> None:
    data = DataDir.open(tmp_path)
    old = tmp_path / "postgres" / "data"
    old.mkdir()
    (old / "PG_VERSION").write_text("15\n")
    with pytest.raises(LocalError, match="made by PostgreSQL 15; this Vulcan has 18") as raised:
        await EmbeddedPostgres(data).prepare()
    assert "Move" in raised.value.hint


async def test_only_this_user_reaches_postgres_and_no_parent_folder_was_opened(tmp_path: Path) -> None:
    outer = tmp_path / "closed"
    outer.mkdir(mode=0o700)
    before = outer.stat().st_mode
    async with postgres_up(DataDir.open(outer / "data")) as (postgres, told):
        await fill(postgres.url)
        assert "password" not in postgres.url
        assert postgres.url.startswith("postgresql://vulcan@/")
        assert sockets_of(told.pids["postgres"]) == {"unix"}
        if os.geteuid() == 0:
            uid = os.stat(f"/proc/{told.pids['postgres']}").st_uid  # noqa: PTH116 - does not block
            assert uid != 0
            assert (outer / "data" / "postgres" / "data").stat().st_uid == uid
    assert outer.stat().st_mode == before
    assert stat.S_IMODE((outer / "data").stat().st_mode) == 0o700


async def test_a_path_too_long_for_a_socket_works_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory(prefix="v", dir="/tmp") as runtime:
        monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
        monkeypatch.setattr("vulcan_local.datadir.ROOT_RUNTIME_DIR", runtime)
        data = DataDir.open(tmp_path / ("long " * 10) / ("'quoted' " * 8))
        async with postgres_up(data) as (postgres, _):
            await fill(postgres.url)
            assert await rows(postgres.url) == 1000
        data.remove_runtime_folder()
        assert os.listdir(runtime) == []  # noqa: PTH208 - does not block
