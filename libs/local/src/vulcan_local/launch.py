"""Becomes another program after the steps that only the new process can take itself.

Run as a file, by `python -I -S launch.py <plan as JSON>`: nothing is imported but the standard library, and no Python
code runs between the fork and the exec of a supervisor that has threads. The plan:

parent        pid of the supervisor; if it is gone already, there is nobody to serve
death_signal  the signal that the kernel sends to the program when the supervisor dies, however it dies
argv, env     what to become; env None keeps the environment
uid, gid      whom to become (only as root); supplementary groups are dropped
binds         folders to show that user, [source, name] each, under ROOT in a mount namespace of its own: it needs no
              right to the folders above the sources, and no other process sees the mounts
out_of_chroot to make the root of a chroot a real one if that can be: sandboxes cannot be made within a chroot
umask         what files that it makes are kept from others
open_files    how many open files to allow, as far as the hard limit goes
"""

import ctypes
import json
import os
import resource
import signal
import sys
from collections.abc import Sequence
from typing import Any, Final, NoReturn

ROOT: Final = "/tmp/vulcan"  # noqa: S108 - on a tmpfs of the new mount namespace alone
NAMESPACE_REFUSED: Final = 70
FAILED: Final = 71
ORPHANED: Final = 72

_PR_SET_PDEATHSIG: Final = 1
_CLONE_NEWNS: Final = 0x00020000
_MS_NOSUID: Final = 2
_MS_NODEV: Final = 4
_MS_BIND: Final = 4096
_MS_REC: Final = 16384
_MS_PRIVATE: Final = 1 << 18
_MNT_DETACH: Final = 2
_SYS_OPEN_TREE: Final = 428
_SYS_MOVE_MOUNT: Final = 429
_TREE_CLONE: Final = 1
_AT_EMPTY_PATH: Final = 0x1000
_AT_RECURSIVE: Final = 0x8000
_MOVE_EMPTY_PATHS: Final = 0x4 | 0x40
_EINVAL: Final = 22


def main() -> None:
    """Follow the plan in the first argument."""
    plan: dict[str, Any] = json.loads(sys.argv[1])
    _die_with(plan["parent"], plan["death_signal"])
    if plan.get("out_of_chroot"):
        try:
            _unshare_mounts()
        except OSError as error:
            os.write(2, f"stays in its chroot: {error}\n".encode())
    if plan.get("binds"):
        try:
            _show(plan["binds"])
        except OSError as error:
            _fail(NAMESPACE_REFUSED, f"cannot make a private mount namespace: {error}")
    try:
        _allow_open_files(plan.get("open_files", 0))
        if plan.get("uid") is not None:
            os.setgroups([])
            os.setgid(plan["gid"])
            os.setuid(plan["uid"])
            _die_with(plan["parent"], plan["death_signal"])  # the kernel forgets the first when the user changes
        os.umask(plan["umask"])
        os.chdir("/")
        argv = plan["argv"]
        os.execve(argv[0], argv, os.environ if plan.get("env") is None else plan["env"])  # noqa: S606 - its purpose
    except OSError as error:
        _fail(FAILED, f"cannot start {plan['argv'][0]}: {error}")


def _die_with(parent: int, death_signal: int) -> None:
    _check(_libc().prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(death_signal), 0, 0, 0), "prctl")
    if os.getppid() != parent:
        _fail(ORPHANED, "the supervisor is gone")


def _allow_open_files(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    target = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if target > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))


def _show(binds: Sequence[tuple[str, str]]) -> None:
    os.umask(0o022)
    _unshare_mounts()
    sources = [(os.open(source, os.O_PATH | os.O_DIRECTORY), name) for source, name in binds]
    _mount("tmpfs", os.path.dirname(ROOT), "tmpfs", _MS_NOSUID | _MS_NODEV, "mode=755,size=1m")  # noqa: PTH120
    for source, name in sources:  # by descriptor: the tmpfs may have covered the path
        target = os.path.join(ROOT, name)  # noqa: PTH118 - pathlib would double this process's start time
        os.makedirs(target, mode=0o755)  # noqa: PTH103
        _mount(f"/proc/self/fd/{source}", target, "", _MS_BIND, "")
        os.close(source)


def _unshare_mounts() -> None:
    _check(_libc().unshare(_CLONE_NEWNS), "unshare")
    try:
        _mount("none", "/", "", _MS_REC | _MS_PRIVATE, "")
    except OSError as error:
        if error.errno != _EINVAL:
            raise
        _leave_chroot()  # there "/" is no mount point, and so cannot be made private


def _leave_chroot() -> None:
    """Make the root folder of a chroot the root of the mount namespace, which then looks the same and is no chroot."""
    libc = _libc()
    inside = os.open("/", os.O_PATH | os.O_DIRECTORY)
    own = os.open("/proc/self/ns/mnt", os.O_RDONLY)
    _check(libc.setns(own, _CLONE_NEWNS), "setns")  # entering one's own namespace leads to its real root
    try:
        _mount("none", "/", "", _MS_REC | _MS_PRIVATE, "")
        tree = libc.syscall(_SYS_OPEN_TREE, inside, b"", ctypes.c_uint(_TREE_CLONE | _AT_RECURSIVE | _AT_EMPTY_PATH))
        _check(min(tree, 0), "open_tree")
        _check(libc.syscall(_SYS_MOVE_MOUNT, tree, b"", inside, b"", ctypes.c_uint(_MOVE_EMPTY_PATHS)), "move_mount")
        os.fchdir(tree)
        _check(libc.pivot_root(b".", b"."), "pivot_root")
        _check(libc.umount2(b".", _MNT_DETACH), "umount")
    except OSError:
        os.fchdir(inside)
        os.chroot(".")
        raise
    for descriptor in (inside, own, tree):
        os.close(descriptor)
    os.chdir("/")


def _mount(source: str, target: str, kind: str, flags: int, data: str) -> None:
    result = _libc().mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), data.encode())
    _check(result, f"mount on {target}")


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int, doing: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{doing}: {os.strerror(code)}")


def _fail(code: int, message: str) -> NoReturn:
    os.write(2, f"{message}\n".encode())
    os._exit(code)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    main()
