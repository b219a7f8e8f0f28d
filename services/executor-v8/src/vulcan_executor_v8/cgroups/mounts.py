"""Where this machine keeps each controller, and in which group this process is."""

from pathlib import Path
from typing import Final

from msgspec import Struct

CONTROLLERS: Final = ("memory", "cpu", "cpuacct", "pids")


class Mount(Struct, frozen=True, kw_only=True):
    """One controller's hierarchy. `own` is this process's group in it, as a folder below `root`."""

    controller: str
    version: int
    root: Path
    own: Path


def find(mountinfo: str, own_groups: str) -> dict[str, Mount]:
    """The mounts by controller, from the texts of /proc/self/mountinfo and /proc/self/cgroup. The first mount of
    each counts, others are copies for some other root. Version 1 wins.

    Of version 2 one entry comes back, named `unified`: which controllers it has is for its files to say.
    """
    groups = _own_groups(own_groups)
    found: dict[str, Mount] = {}
    for line in mountinfo.splitlines():
        fields, _, tail = line.partition(" - ")
        parts, kind = fields.split(), tail.split()
        if len(parts) < 5 or len(kind) < 3:
            continue
        root_in_tree, mount_point = parts[3], Path(_unescape(parts[4]))
        if kind[0] == "cgroup2":
            found.setdefault("unified", _mount("unified", 2, mount_point, root_in_tree, groups.get("", "/")))
        elif kind[0] == "cgroup":
            for controller in set(kind[2].split(",")) & set(CONTROLLERS):
                own = groups.get(controller, "/")
                found.setdefault(controller, _mount(controller, 1, mount_point, root_in_tree, own))
    return found


def _own_groups(text: str) -> dict[str, str]:
    groups: dict[str, str] = {}
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            groups[controller] = path
    return groups


def _mount(controller: str, version: int, point: Path, root_in_tree: str, own: str) -> Mount:
    prefix = root_in_tree.rstrip("/")
    relative = own[len(prefix) :] if prefix and own.startswith(prefix) else own
    return Mount(controller=controller, version=version, root=point, own=point / relative.lstrip("/"))


def _unescape(path: str) -> str:
    return path.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")
