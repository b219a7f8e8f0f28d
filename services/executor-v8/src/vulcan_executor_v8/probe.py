"""Tries a level of jail for real: a program runs through it, and its process is looked at from outside."""

import asyncio
import os
from pathlib import Path
from typing import Final

import msgspec

from vulcan_executor_v8.cgroups.group import Limits
from vulcan_executor_v8.cgroups.tree import CgroupTree
from vulcan_executor_v8.host.channel import ChannelBrokenError
from vulcan_executor_v8.host.process import Host, HostStartError, start
from vulcan_executor_v8.jail.launch import Launcher, Profile
from vulcan_executor_v8.settings import V8Settings

_MIB: Final = 1_048_576
_NAMESPACES: Final = ("pid", "net", "mnt", "ipc", "uts")
_ROOT: Final = {"cache", "ctl", "deno", "dev", "lib", "lib64", "npm", "proc", "setpriv", "src", "tmp", "usr", "vulcan"}
_PROGRAM: Final = """
const refused = async (attempt: () => unknown): Promise<boolean> => {
  try { await attempt(); return false; } catch { return true; }
};
const report: Record<string, unknown> = {
  version: `${Deno.version.deno} (V8 ${Deno.version.v8})`,
  file: await refused(() => Deno.readTextFileSync("/etc/passwd")),
  write: await refused(() => Deno.writeTextFileSync("/tmp/x", "x")),
  net: await refused(() => fetch("http://127.0.0.1:9/")),
  run: await refused(() => new Deno.Command("/deno").outputSync()),
};
export default () => {
  setTimeout(() => { report.late = true; }, 5);
  return report;
};
"""


class ProbeFailedError(Exception):
    """This level does not work here; the message says how."""


async def try_level(launcher: Launcher, tree: CgroupTree, run_dir: Path, settings: V8Settings) -> str:
    """The engine's name and version, if a program behaves in a host of this level as it must.

    Raises:
        ProbeFailedError: it does not.
    """
    profile = Profile(heap_mb=min(settings.heap_classes_mb))
    limits = Limits(memory_bytes=(profile.heap_mb + settings.overhead_mb) * _MIB, cpus=64.0, pids=128)
    try:
        host = await start(run_dir / "probe", profile, launcher, tree.create("probe"), limits, settings)
    except (HostStartError, OSError) as error:
        raise ProbeFailedError(str(error)) from error
    try:
        if launcher.level != "none":
            _look_from_outside(host)
        return await _run_program(host, settings)
    finally:
        await host.close(settings.kill_timeout_s)


async def _run_program(host: Host, settings: V8Settings) -> str:
    _write_program(host.source / "probe")
    host.stdin.close()
    request = {
        "type": "run",
        "url": host.url("probe", "main.ts"),
        "folder": host.url("probe", "") + "/",
        "args": [],
        "env": {},
        "input": {"text": ""},
        "artifacts": {"bytes": 0, "count": 0},
    }
    try:
        async with asyncio.timeout(settings.start_timeout_s):
            nonce = await host.request(request)
            frame = await host.channel.receive()
    except (ChannelBrokenError, TimeoutError) as error:
        raise ProbeFailedError(f"the trial program did not end ({_said(host) or error})") from error
    if not frame.answers(nonce) or frame.code != 0 or frame.result is None:
        raise ProbeFailedError(f"the trial program failed: {_said(host)}")
    report = msgspec.json.decode(frame.result)
    wrong = [name for name in ("late", "file", "write", "net", "run") if report.get(name) is not True]
    if wrong:
        raise ProbeFailedError(f"the trial program could do what it must not, or the reverse: {', '.join(wrong)}")
    return f"deno {report['version']}"


def _write_program(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o755)
    (folder / "main.ts").write_text(_PROGRAM)


def _said(host: Host) -> str:
    return host.stderr.read().decode("utf-8", "replace").strip()[:400]


def _look_from_outside(host: Host) -> None:
    """Check the jail by what the kernel says of its process, as far as this user may read it."""
    proc = Path(f"/proc/{host.pid}")
    status = dict(line.split(":\t", 1) for line in (proc / "status").read_text().splitlines() if ":\t" in line)
    if int(status.get("CapEff", "0"), 16) or int(status.get("CapBnd", "0"), 16) & 0x200000:
        raise ProbeFailedError("the host keeps capabilities")
    if status.get("NoNewPrivs", "1").strip() != "1":
        raise ProbeFailedError("the host may gain privileges")
    try:
        shared = [name for name in _NAMESPACES if _namespace(proc, name) == _namespace(Path("/proc/self"), name)]
        visible = set(os.listdir(proc / "root"))  # noqa: PTH208
    except PermissionError:  # a plain user may not look into another user namespace
        return
    if shared:
        raise ProbeFailedError(f"the host shares namespaces with this machine: {', '.join(shared)}")
    if visible - _ROOT:
        raise ProbeFailedError(f"the host sees {', '.join(sorted(visible - _ROOT))}")


def _namespace(proc: Path, name: str) -> str:
    return str((proc / "ns" / name).readlink())
