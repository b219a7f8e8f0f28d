"""How strong a jail this machine allows, and in words what holds and what to do about the rest."""

import os
import shutil
import sys
from typing import Literal

from msgspec import Struct

from vulcan_executor_v8.jail.seccomp import SeccompMissingError, filter_program

Level = Literal["bwrap", "userns", "none"]

_HOLDS: dict[Level, str] = {
    "bwrap": (
        "One Deno process per tenant in bubblewrap: its own PID, network, mount, IPC and UTS namespaces, a root folder "
        "that holds nothing but Deno, user 65534 without capabilities"
    ),
    "userns": (
        "One Deno process per tenant in bubblewrap under an unprivileged user namespace: its own PID, network, mount, "
        "IPC and UTS namespaces, a root folder that holds nothing but Deno, no capabilities"
    ),
    "none": "One plain Deno process per tenant: only V8 and Deno's permissions stand between the code and this user",
}


class Tools(Struct, frozen=True, kw_only=True):
    """What this machine has to build a jail with."""

    bwrap: str | None
    setpriv: str | None
    seccomp: bytes | None
    seccomp_egress: bytes | None
    seccomp_missing: str = ""


def find_tools() -> Tools:
    """Look for the tools."""
    seccomp, egress, why = None, None, ""
    if sys.platform == "linux":
        try:
            seccomp, egress = filter_program(internet=False), filter_program(internet=True)
        except SeccompMissingError as error:
            why = str(error)
    else:
        why = "this system has none"
    return Tools(
        bwrap=shutil.which("bwrap") if sys.platform == "linux" else None,
        setpriv=shutil.which("setpriv"),
        seccomp=seccomp,
        seccomp_egress=egress,
        seccomp_missing=why,
    )


def candidates(tools: Tools, wanted: str) -> list[Level]:
    """The levels worth a trial here, strongest first."""
    possible: list[Level] = []
    if tools.bwrap is not None:
        if os.geteuid() == 0 and tools.setpriv is not None:
            possible.append("bwrap")
        possible.append("userns")
    possible.append("none")
    return [level for level in possible if wanted in ("auto", level)]


def boundary(level: Level, tools: Tools, controllers: dict[str, int]) -> str:
    """What holds hostile code here, in words."""
    parts = [_HOLDS[level]]
    if level != "none" and tools.seccomp is not None:
        parts.append("a seccomp filter")
    held = [name for name in ("memory", "cpu", "pids") if name in controllers]
    if held:
        parts.append(f"control groups for {', '.join(held)}")
    return "; ".join(parts) + ". Each run has a fresh V8 isolate without permissions."


def warnings(level: Level, tools: Tools, missing: dict[str, str], refused: list[str]) -> list[str]:
    """What is weaker here than it could be, and what to do about it."""
    found = list(refused)
    if tools.bwrap is None and sys.platform == "linux":
        found.append("Hosts are not jailed: bubblewrap is not installed (Debian: apt install bubblewrap).")
    elif level == "none":
        found.append("Hosts run without a jail: do not run code here that nobody trusts.")
    if level == "userns" and os.geteuid() == 0:
        found.append("setpriv is not there, so hosts keep this user's id behind a user namespace: install util-linux.")
    if level != "none" and tools.seccomp is None:
        found.append(f"No seccomp filter: {tools.seccomp_missing}. Install libseccomp (Debian: libseccomp2).")
    for name, effect in (
        ("memory", "memory is bounded by V8's heap limit and by sampling, which a fast run can overshoot"),
        ("cpu", "a run may use more cores than it asked for"),
        ("pids", "the number of threads is not bounded"),
    ):
        if name in missing:
            found.append(
                f"No control group for {name} ({missing[name]}), so {effect}. Run as root, or delegate the controller."
            )
    return found
