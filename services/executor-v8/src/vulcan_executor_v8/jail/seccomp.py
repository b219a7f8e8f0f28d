"""The system calls that a host may not make, as a program for the kernel's filter.

Deno runs with everything else: the list takes away what an escape would need and no runtime does. Where the filter
library is missing, or on another system, there is none.
"""

import errno
import os
import socket
from typing import Final

_DENIED: Final = (
    "ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "kcmp", "pidfd_getfd",
    "bpf", "perf_event_open", "userfaultfd", "fanotify_init", "lookup_dcookie",
    "io_uring_setup", "io_uring_enter", "io_uring_register",
    "mount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree", "fsopen", "fsmount", "fsconfig", "fspick",
    "mount_setattr", "open_by_handle_at", "name_to_handle_at", "quotactl", "swapon", "swapoff",
    "setns", "unshare", "clone3",
    "keyctl", "add_key", "request_key",
    "init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "reboot",
    "settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "sethostname", "setdomainname",
    "syslog", "acct", "iopl", "ioperm", "modify_ldt", "vm86", "vm86old", "personality", "uselib", "nfsservctl",
    "landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self",
    "memfd_secret", "vhangup", "migrate_pages", "move_pages", "mbind", "set_mempolicy",
)  # fmt: skip
_FAMILIES: Final = 64
_LOCAL: Final = (socket.AF_UNIX,)
_INTERNET: Final = (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6)
_NAMESPACE_FLAGS: Final = 0x7E020000 | 0x00000080


class SeccompMissingError(Exception):
    """There is no way to make a filter here; the message says why."""


def filter_program(*, internet: bool) -> bytes:
    """The filter as the bytes of a BPF program.

    Args:
        internet: whether internet sockets may be made, for a host whose network namespace leads to the proxy alone.

    Raises:
        SeccompMissingError: the library, or the kernel's side, is not there.
    """
    try:
        import pyseccomp
    except (ImportError, OSError, RuntimeError) as error:
        raise SeccompMissingError(f"libseccomp cannot be loaded ({error})") from error
    try:
        rules = pyseccomp.SyscallFilter(defaction=pyseccomp.ALLOW)
        missing = pyseccomp.ERRNO(errno.ENOSYS)
        denied = pyseccomp.ERRNO(errno.EPERM)
        for name in _DENIED:
            if pyseccomp.resolve_syscall(pyseccomp.system_arch(), name) >= 0:
                # "no such call" lets libc fall back to the old call, whose flags a filter can read
                rules.add_rule(missing if name == "clone3" else denied, name)
        for bit in range(32):
            flag = 1 << bit
            if _NAMESPACE_FLAGS & flag:
                rules.add_rule(denied, "clone", pyseccomp.Arg(0, pyseccomp.MASKED_EQ, flag, flag))
        for family in range(_FAMILIES):
            if family not in (_INTERNET if internet else _LOCAL):
                rules.add_rule(denied, "socket", pyseccomp.Arg(0, pyseccomp.EQ, family))
        rules.add_rule(denied, "socket", pyseccomp.Arg(0, pyseccomp.GE, _FAMILIES))
        return _exported(rules)
    except (OSError, ValueError, AttributeError) as error:
        raise SeccompMissingError(f"the filter cannot be made ({error})") from error


def _exported(rules: "object") -> bytes:
    descriptor = os.memfd_create("seccomp")
    with os.fdopen(descriptor, "w+b") as file:
        rules.export_bpf(file)  # type: ignore[attr-defined]  # pyseccomp has no types
        file.seek(0)
        return file.read()
