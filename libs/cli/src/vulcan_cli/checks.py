"""What `vulcan doctor` looks at: the server and what it says of itself, then this machine."""

import os
import platform
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from msgspec import Struct

from vulcan_cli.common import Common, connect
from vulcan_sdk.config import data_dir, discover
from vulcan_sdk.errors import ApiError, ConfigError, VulcanError

if TYPE_CHECKING:
    from vulcan_sdk.client import Vulcan

Result = Literal["ok", "warning", "FAILED"]

_LOW_DISK_BYTES: Final = 2 * 1024**3


class Check(Struct, frozen=True, kw_only=True):
    """One thing looked at; `hint` says what to do."""

    name: str
    result: Result
    detail: str
    hint: str = ""


def server_checks(common: Common) -> Iterator[Check]:
    """Configuration, reachability, the key, the backends. Each only if the ones before let it."""
    try:
        config = discover(url=common.url)
    except ConfigError as error:
        yield Check(name="configuration", result="FAILED", detail=error.message, hint=error.hint)
        return
    yield Check(name="address", result="ok", detail=f"{config.url}, from {config.url_from}")
    if config.api_key is None:
        yield Check(
            name="key",
            result="FAILED",
            detail="no API key was found",
            hint="Set VULCAN_API_KEY or VULCAN_API_KEY_FILE; for a stack on this machine be the user that started it.",
        )
        return
    with connect(common) as vulcan:
        yield from _reached(vulcan, config.key_from)


def _reached(vulcan: "Vulcan", key_from: str) -> Iterator[Check]:
    try:
        me = vulcan.whoami()
    except ApiError as error:
        yield Check(name="server", result="ok", detail=f"{vulcan.config.url} answers")
        hint = error.hint or f"The key came from {key_from}."
        yield Check(name="key", result="FAILED", detail=error.message, hint=hint)
        return
    except VulcanError as error:
        yield Check(name="server", result="FAILED", detail=error.message, hint=error.hint)
        return
    yield Check(name="server", result="ok", detail=f"{vulcan.config.url} answers")
    yield Check(name="key", result="ok", detail=f"{me.role} of tenant {me.tenant}, from {key_from}")
    for name, look in (("backends", _backends), ("nodes", _nodes), ("projections", _projections)):
        try:
            yield from look(vulcan)
        except VulcanError as error:
            yield Check(name=name, result="FAILED", detail=error.message, hint=error.hint)


def _backends(vulcan: "Vulcan") -> Iterator[Check]:
    found = vulcan.backends()
    if not any(view.available for view in found):
        yield Check(
            name="backends",
            result="FAILED",
            detail="none works, so nothing can run",
            hint="See below what each is missing; without executors start one (`vulcan up` starts all).",
        )
    for view in found:
        if view.available:
            detail = f"works on {len(view.nodes)} node(s)" + (f", {view.report.engine}" if view.report else "")
            yield Check(name=f"backend {view.isolation}", result="ok", detail=detail)
        else:
            detail = view.unavailable_reason or "no executor offers it"
            yield Check(name=f"backend {view.isolation}", result="warning", detail=detail, hint=view.hint)
        for warning in view.report.warnings if view.report else ():
            yield Check(name=f"backend {view.isolation}", result="warning", detail=warning)


def _nodes(vulcan: "Vulcan") -> Iterator[Check]:
    for node in vulcan.nodes():
        if node.state == "lost":
            hint = "Look at its logs; what it ran is tried again elsewhere where the retry policy says so."
            yield Check(name=f"node {node.node}", result="warning", detail="has sent no heartbeat lately", hint=hint)
        elif node.draining:
            hint = f"To give it work again: vulcan nodes undrain {node.node}"
            yield Check(name=f"node {node.node}", result="warning", detail="drains, so it gets no new work", hint=hint)


def _projections(vulcan: "Vulcan") -> Iterator[Check]:
    vulcan.workloads(limit=1)
    yield Check(name="projections", result="ok", detail="lists, stats and log search answer")


def local_checks() -> Iterator[Check]:
    """What a stack on this machine needs; `vulcan up` says the same, later."""
    yield Check(name="python", result="ok", detail=platform.python_version())
    yield _system()
    yield _data(data_dir(os.environ))
    yield _kvm(Path("/dev/kvm"))
    yield from _embedded_stack()


def _embedded_stack() -> Iterator[Check]:
    try:
        from vulcan_local.doctor import check_machine
    except ModuleNotFoundError:
        return  # the command alone is installed
    for found in check_machine():
        result: Result = "FAILED" if found.status == "failed" else found.status
        yield Check(name=found.name, result=result, detail=found.detail, hint=found.hint)


def _system() -> Check:
    system, machine = platform.system(), platform.machine()
    if system == "Linux" and machine in ("x86_64", "aarch64"):
        return Check(name="system", result="ok", detail=f"{system} {platform.release()} on {machine}")
    hint = "Executors need Linux on x86_64 or aarch64; this command works with one elsewhere (VULCAN_URL)."
    return Check(name="system", result="warning", detail=f"{system} on {machine}", hint=hint)


def _data(folder: Path) -> Check:
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not os.access(there, os.W_OK | os.X_OK):
        hint = "Set VULCAN_DATA_DIR to a folder that you may write to."
        return Check(name="data directory", result="FAILED", detail=f"{there} is not writable", hint=hint)
    free = shutil.disk_usage(there).free
    detail = f"{folder}, {free / 1024**3:.1f} GiB free"
    if free < _LOW_DISK_BYTES:
        return Check(name="data directory", result="warning", detail=detail, hint="Make room, or set VULCAN_DATA_DIR.")
    return Check(name="data directory", result="ok", detail=detail)


def _kvm(device: Path) -> Check:
    if not device.exists():
        hint = "microVMs would run under emulation here: slower, and no security boundary."
        return Check(name="KVM", result="warning", detail=f"there is no {device}", hint=hint)
    if not os.access(device, os.R_OK | os.W_OK):
        hint = "Add this user to the group kvm, then log in again."
        return Check(name="KVM", result="warning", detail=f"{device} is there, but not for this user", hint=hint)
    return Check(name="KVM", result="ok", detail=f"{device} can be opened")
