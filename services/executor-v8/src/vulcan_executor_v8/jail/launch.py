"""The command line that starts a host at a given level of jail."""

import os
from pathlib import Path
from typing import Final

from msgspec import Struct

from vulcan_executor_v8.jail.levels import Level, Tools
from vulcan_executor_v8.jail.libraries import folders_of, libraries

PROXY_PORT: Final = 3128
SECCOMP_FD: Final = "@seccomp"
"""Stands in the command for the number of the descriptor that the filter is read from."""
SCRIPTS: Final = Path(__file__).parent.parent / "js"
_MIB: Final = 1_048_576
_NOBODY: Final = "65534"
_DESCRIPTORS: Final = 1024
_JOIN_AND_EXEC: Final = (
    f"ulimit -c 0; ulimit -n {_DESCRIPTORS}; "
    'n=$1; shift; while [ "$n" -gt 0 ]; do echo 0 > "$1" || exit 71; shift; n=$((n - 1)); done; exec "$@"'
)


class Places(Struct, frozen=True, kw_only=True):
    """One host's folders on this machine: its socket, its runs' sources, and scratch for the level without a jail."""

    socket: Path
    source: Path
    scratch: Path


class Profile(Struct, frozen=True, kw_only=True):
    """What kind of host: its V8 heap limit, and whether its runs may reach the egress proxy."""

    heap_mb: int
    egress: bool = False


class Launch(Struct, frozen=True, kw_only=True):
    """A command, its environment, and where the host will find the sources."""

    argv: list[str]
    env: dict[str, str]
    seccomp: bytes | None
    source_folder: str


class Launcher:
    """Builds commands for one level, with everything that is the same for all hosts looked up once."""

    def __init__(self, level: Level, tools: Tools, deno: str, npm_dir: str, scratch_mb: int) -> None:
        self.level = level
        self._tools = tools
        self._deno = deno
        self._npm_dir = npm_dir
        self._scratch_mb = scratch_mb
        programs = [deno] + ([tools.setpriv] if level == "bwrap" and tools.setpriv else [])
        self._libraries = libraries(programs) if level != "none" else []

    def launch(self, places: Places, profile: Profile, join_files: list[str]) -> Launch:
        """The command for one host."""
        jailed = self.level != "none"
        source = "/src" if jailed else str(places.source)
        socket = "/ctl/sock" if jailed else str(places.socket)
        scripts = "/vulcan" if jailed else str(SCRIPTS)
        command = self._deno_command("/deno" if jailed else self._deno, source, socket, scripts, profile)
        env = self._environment(places)
        if jailed:
            command = self._jail(places, env, command)
        seccomp = self._tools.seccomp_egress if profile.egress else self._tools.seccomp
        return Launch(
            argv=["/bin/sh", "-c", _JOIN_AND_EXEC, "sh", str(len(join_files)), *join_files, *command],
            env={} if jailed else env,
            seccomp=seccomp if jailed else None,
            source_folder=source,
        )

    def _deno_command(self, deno: str, source: str, socket: str, scripts: str, profile: Profile) -> list[str]:
        proxy_socket = str(Path(socket).with_name("proxy"))
        net = f"unix:{socket}" if not profile.egress else ""
        flags = [
            "--no-prompt", "--no-lock", "--no-config", "--no-code-cache", "--quiet", "--unstable-worker-options",
            f"--allow-read={source},{scripts},{socket}" + (f",{proxy_socket}" if profile.egress else ""),
            f"--allow-write={socket}" + (f",{proxy_socket}" if profile.egress else ""),
            "--allow-net" + (f"={net}" if net else ""),
            "--allow-env",
            f"--v8-flags=--max-old-space-size={profile.heap_mb},--single-threaded-gc",
        ]  # fmt: skip
        flags += ["--cached-only", "--no-remote"] if self._npm_dir else ["--no-remote", "--no-npm"]
        if profile.egress:
            flags.append("--use-env-proxy")
        arguments = [socket, f"file://{scripts}/worker.js", source, f"file://{scripts}/warm.ts"]
        if profile.egress:
            arguments += [proxy_socket, str(PROXY_PORT)]
        return [deno, "run", *flags, f"{scripts}/host.js", *arguments]

    def _environment(self, places: Places) -> dict[str, str]:
        scratch = "/cache" if self.level != "none" else str(places.scratch)
        return {
            "DENO_DIR": "/npm" if self._npm_dir and self.level != "none" else self._npm_dir or scratch,
            "NO_COLOR": "1",
            "DENO_NO_UPDATE_CHECK": "1",
            "HOME": scratch,
            "MALLOC_ARENA_MAX": "1",  # one heap for all threads, of which one at a time does much: a MiB less per host
        }

    def _jail(self, places: Places, env: dict[str, str], command: list[str]) -> list[str]:
        jail = [self._tools.bwrap or "bwrap", "--as-pid-1", "--die-with-parent", "--new-session", "--clearenv"]
        drop: list[str] = []
        if self.level == "bwrap":
            jail += ["--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
            jail += ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
            jail += ["--cap-add", "CAP_SETPCAP"]
            drop = [
                "/setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups", "--no-new-privs",
                "--bounding-set=-all", "--inh-caps=-all", "--pdeathsig=KILL",
            ]  # fmt: skip
        else:
            jail += ["--unshare-all", "--uid", _NOBODY, "--gid", _NOBODY, "--cap-drop", "ALL"]
        for name, value in env.items():
            jail += ["--setenv", name, value]
        for folder in folders_of([*self._libraries, "/vulcan/x"]):
            jail += ["--perms", "0755", "--dir", folder]
        jail += ["--ro-bind", self._deno, "/deno"]
        if drop:
            jail += ["--ro-bind", self._tools.setpriv or "", "/setpriv"]
        for library in self._libraries or [path for path in ("/lib", "/lib64", "/usr/lib") if os.path.isdir(path)]:  # noqa: PTH112
            jail += ["--ro-bind", library, library]
        for script in ("host.js", "worker.js", "warm.ts"):
            jail += ["--ro-bind", str(SCRIPTS / script), f"/vulcan/{script}"]
        jail += ["--ro-bind", str(places.socket.parent), "/ctl", "--ro-bind", str(places.source), "/src"]
        if self._npm_dir:
            jail += ["--ro-bind", self._npm_dir, "/npm"]
        jail += ["--proc", "/proc", "--dev", "/dev"]
        for folder in ("/tmp", "/cache"):  # noqa: S108
            jail += ["--perms", "1777", "--size", str(self._scratch_mb * _MIB), "--tmpfs", folder]
        jail += ["--chdir", "/tmp"]  # noqa: S108
        if self._tools.seccomp is not None:
            jail += ["--seccomp", SECCOMP_FD]
        return [*jail, "--", *drop, *command]
