"""The node's own branch of the control group trees: where its hosts' groups are made, and found again after a crash."""

import contextlib
import os
from pathlib import Path
from typing import Final

from vulcan_executor_v8.cgroups.group import Group, Limits
from vulcan_executor_v8.cgroups.mounts import CONTROLLERS, Mount, find

_PREFIX: Final = "vulcan-v8-"
_TRIAL: Final = "trial"
_MIB: Final = 1_048_576


class CgroupTree:
    """Makes groups below `<own group or root>/vulcan-v8-<node>`, in each hierarchy that lets us."""

    def __init__(self, bases: dict[str, tuple[int, Path]], missing: dict[str, str]) -> None:
        self._bases = bases
        self.missing = missing

    @property
    def controllers(self) -> dict[str, int]:
        """The controllers that work here, with their version."""
        return {name: version for name, (version, _) in self._bases.items()}

    def create(self, name: str) -> Group:
        """A new, empty group.

        Raises:
            OSError: the kernel refused.
        """
        folders: dict[str, tuple[int, Path]] = {}
        for controller, (version, base) in self._bases.items():
            folder = base / name
            folder.mkdir(exist_ok=True)
            folders[controller] = (version, folder)
        return Group(folders)

    @property
    def branches(self) -> list[Path]:
        """The folders below which the groups are made, one in each hierarchy."""
        return list(dict.fromkeys(base for _, base in self._bases.values()))

    def make(self) -> None:
        """Make the branch again, should somebody have removed it.

        Raises:
            OSError: the kernel refused.
        """
        for controller, (version, base) in self._bases.items():
            base.mkdir(exist_ok=True)
            if version == 2:
                (base / "cgroup.subtree_control").write_text(f"+{_kernel_name(controller)}")

    def others(self) -> dict[str, "CgroupTree"]:
        """The branches of other nodes beside this one, by node."""
        found: dict[str, dict[str, tuple[int, Path]]] = {}
        for controller, (version, base) in self._bases.items():
            for folder in base.parent.glob(f"{_PREFIX}*"):
                if folder != base and folder.is_dir():
                    found.setdefault(folder.name.removeprefix(_PREFIX), {})[controller] = (version, folder)
        return {node: CgroupTree(bases, {}) for node, bases in found.items()}

    def leftovers(self) -> list[Group]:
        """The groups of an earlier life."""
        names: dict[str, dict[str, tuple[int, Path]]] = {}
        for controller, (version, base) in self._bases.items():
            for folder in base.iterdir() if base.is_dir() else ():
                if folder.is_dir():
                    names.setdefault(folder.name, {})[controller] = (version, folder)
        return [Group(folders) for folders in names.values()]

    def remove(self) -> None:
        """Delete the branch, if nothing is left in it."""
        for base in self.branches:
            with contextlib.suppress(OSError):  # gone already, or still in use
                base.rmdir()


def open_tree(node: str) -> CgroupTree:
    """The branch for a node, with every controller that really works."""
    bases: dict[str, tuple[int, Path]] = {}
    missing: dict[str, str] = {}
    try:
        mounts = find(Path("/proc/self/mountinfo").read_text(), Path("/proc/self/cgroup").read_text())
    except OSError as error:
        return CgroupTree({}, dict.fromkeys(CONTROLLERS, f"no control groups here: {error.strerror}"))
    for controller in CONTROLLERS:
        mount = mounts.get(controller)
        try:
            if mount is not None:
                bases[controller] = (1, _base_v1(mount, node))
            elif "unified" in mounts:
                bases[controller] = (2, _base_v2(mounts["unified"], node, controller))
            else:
                missing[controller] = "no hierarchy has it"
        except OSError as error:
            missing[controller] = error.strerror or str(error)
    tree = CgroupTree(bases, missing)
    return _tried(tree)


def _tried(tree: CgroupTree) -> CgroupTree:
    """The tree if a group can be made, bounded and removed in it."""
    try:
        group = tree.create(f"{_TRIAL}-{os.getpid()}")
    except OSError as error:
        return CgroupTree({}, dict.fromkeys(CONTROLLERS, error.strerror or str(error)))
    try:
        group.set_limits(Limits(memory_bytes=64 * _MIB, cpus=1.0, pids=32))
    except OSError as error:
        return CgroupTree({}, dict.fromkeys(CONTROLLERS, error.strerror or str(error)))
    finally:
        group.remove()
    return tree


def _base_v1(mount: Mount, node: str) -> Path:
    error: OSError | None = None
    for parent in (mount.own, mount.root):
        base = parent / f"{_PREFIX}{node}"
        try:
            base.mkdir(exist_ok=True)
        except OSError as refused:
            error = refused
            continue
        if os.access(base / "cgroup.procs", os.W_OK):
            return base
    raise error or PermissionError(13, "the group cannot be written to")


def _base_v2(mount: Mount, node: str, controller: str) -> Path:
    """A branch whose children have the controller: its whole ancestry must pass it on."""
    kernel_name = _kernel_name(controller)
    error: OSError | None = None
    for parent in dict.fromkeys((mount.own, mount.own.parent, mount.root)):
        if parent != mount.root and mount.root not in parent.parents:
            continue
        try:
            if kernel_name not in (parent / "cgroup.controllers").read_text().split():
                continue
            if kernel_name not in (parent / "cgroup.subtree_control").read_text().split():
                (parent / "cgroup.subtree_control").write_text(f"+{kernel_name}")
            base = parent / f"{_PREFIX}{node}"
            base.mkdir(exist_ok=True)
            (base / "cgroup.subtree_control").write_text(f"+{kernel_name}")
        except OSError as refused:
            error = refused
            continue
        return base
    raise error or FileNotFoundError(2, f"control group v2 offers no {kernel_name} controller")


def _kernel_name(controller: str) -> str:
    return "cpu" if controller == "cpuacct" else controller
