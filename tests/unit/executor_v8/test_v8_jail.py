from pathlib import Path

import pytest

from vulcan_executor_v8.jail.launch import SECCOMP_FD, Launcher, Places, Profile
from vulcan_executor_v8.jail.levels import Tools, boundary, candidates, warnings

TOOLS = Tools(bwrap="/usr/bin/bwrap", setpriv="/usr/bin/setpriv", seccomp=b"local", seccomp_egress=b"inet")
PLACES = Places(socket=Path("/r/h1/ctl/sock"), source=Path("/r/h1/src"), scratch=Path("/r/h1/scratch"))


def command(level: str, tools: Tools = TOOLS, **profile: object) -> list[str]:
    launcher = Launcher(level, tools, "/opt/deno", "", 1)  # type: ignore[arg-type]  # a level by its name
    return launcher.launch(PLACES, Profile(heap_mb=128, **profile), ["/cg/procs"]).argv  # type: ignore[arg-type]


def test_the_jail_has_every_wall() -> None:
    argv = command("userns")
    for flag in ("--unshare-all", "--as-pid-1", "--die-with-parent", "--new-session", "--clearenv"):
        assert flag in argv
    assert argv[argv.index("--cap-drop") + 1] == "ALL"
    assert argv[argv.index("--uid") + 1] == "65534"
    assert argv[argv.index("--seccomp") + 1] == SECCOMP_FD


def test_root_drops_to_a_real_user_without_capabilities() -> None:
    argv = command("bwrap")
    inner = argv[argv.index("--") + 1 :]
    assert inner[0] == "/setpriv"
    assert {"--reuid=65534", "--no-new-privs", "--bounding-set=-all", "--pdeathsig=KILL"} <= set(inner)
    assert inner[inner.index("/deno") + 1] == "run"


@pytest.mark.parametrize("level", ["bwrap", "userns", "none"])
def test_deno_may_read_sources_and_nothing_else(level: str) -> None:
    argv = command(level)
    flags = [word for word in argv if word.startswith("--allow")]
    assert not any(word.startswith(("--allow-all", "--allow-run", "--allow-ffi", "--allow-sys")) for word in flags)
    (net,) = [word for word in flags if word.startswith("--allow-net")]
    assert net.startswith("--allow-net=unix:")
    assert "--no-remote" in argv
    assert "--no-npm" in argv


def test_only_a_host_with_egress_gets_the_filter_that_lets_internet_sockets_be() -> None:
    launcher = Launcher("userns", TOOLS, "/opt/deno", "", 1)
    assert launcher.launch(PLACES, Profile(heap_mb=128), []).seccomp == b"local"
    assert launcher.launch(PLACES, Profile(heap_mb=128, egress=True), []).seccomp == b"inet"


def test_without_a_jail_nothing_is_inherited_either() -> None:
    launch = Launcher("none", TOOLS, "/opt/deno", "", 1).launch(PLACES, Profile(heap_mb=128), [])
    assert set(launch.env) == {"DENO_DIR", "NO_COLOR", "DENO_NO_UPDATE_CHECK", "HOME", "MALLOC_ARENA_MAX"}
    assert "bwrap" not in " ".join(launch.argv)
    assert launch.seccomp is None


def test_strongest_first() -> None:
    bare = Tools(bwrap=None, setpriv=None, seccomp=None, seccomp_egress=None)
    assert candidates(bare, "auto") == ["none"]
    assert candidates(bare, "bwrap") == []
    assert candidates(TOOLS, "auto")[-2:] == ["userns", "none"]


def test_every_weakness_is_told_with_what_to_do() -> None:
    bare = Tools(bwrap=None, setpriv=None, seccomp=None, seccomp_egress=None, seccomp_missing="not there")
    missing = dict.fromkeys(("memory", "cpu", "pids"), "not delegated")
    text = "\n".join(warnings("none", bare, missing, []))
    for word in ("apt install bubblewrap", "memory", "cores", "threads", "delegate"):
        assert word in text
    assert "only V8 and Deno's permissions" in boundary("none", bare, {})
    assert warnings("bwrap", TOOLS, {}, []) == []
