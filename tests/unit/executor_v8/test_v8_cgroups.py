from pathlib import Path

from vulcan_executor_v8.cgroups.files import KernelFiles
from vulcan_executor_v8.cgroups.group import Group, Limits
from vulcan_executor_v8.cgroups.mounts import find

V1 = """\
25 30 0:23 / /sys/fs/cgroup rw - tmpfs tmpfs rw
30 25 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
31 25 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
32 25 0:30 /docker/abc /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
33 25 0:31 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
"""
V1_OWN = "5:memory:/a/b\n4:cpu,cpuacct:/\n3:pids:/docker/abc/inner\n0::/x\n"


def test_version_1_by_controller() -> None:
    found = find(V1, V1_OWN)
    assert found["memory"].own == Path("/sys/fs/cgroup/memory/a/b")
    assert found["cpu"].own == found["cpuacct"].own == Path("/sys/fs/cgroup/cpu,cpuacct")
    assert found["pids"].own == Path("/sys/fs/cgroup/pids/inner")
    assert found["unified"].own == Path("/sys/fs/cgroup/unified/x")
    assert {name: mount.version for name, mount in found.items()}["memory"] == 1


def test_a_later_mount_for_another_root_does_not_count() -> None:
    again = V1.replace("/sys/fs/cgroup", "/srv/chroot/sys/fs/cgroup")
    assert find(V1 + again, V1_OWN) == find(V1, V1_OWN)


def test_version_2_alone() -> None:
    found = find("25 30 0:23 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n", "0::/user.slice/s.scope\n")
    assert list(found) == ["unified"]
    assert found["unified"].own == Path("/sys/fs/cgroup/user.slice/s.scope")


def test_nothing_mounted() -> None:
    assert find("22 1 8:1 / / rw - ext4 /dev/root rw\n", "") == {}


def test_a_version_2_group_reads_and_writes_its_files(tmp_path: Path) -> None:
    files = {
        "cpu.stat": "usage_usec 1500000\nuser_usec 1\n",
        "memory.stat": "anon 100\nfile 5000\nshmem 10\nkernel 1\n",
        "memory.events": "low 0\nhigh 0\nmax 4\noom 1\noom_kill 2\n",
        "memory.peak": "777\n",
        "pids.events": "max 3\n",
        "cgroup.procs": "",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    group = Group(dict.fromkeys(("memory", "cpu", "cpuacct", "pids"), (2, tmp_path)))
    usage = group.usage()
    assert (usage.cpu_s, group.memory_bytes(), usage.peak_bytes) == (1.5, 111, 777)
    assert (usage.oom_kills, usage.memory_hits, usage.pids_hits) == (2, 4, 3)
    assert group.join_files == [str(tmp_path / "cgroup.procs")]
    group.set_limits(Limits(memory_bytes=1024, cpus=0.5, pids=9))
    assert (tmp_path / "memory.max").read_text() == "1024"
    assert (tmp_path / "cpu.max").read_text() == "50000 100000"
    assert (tmp_path / "pids.max").read_text() == "9"


def test_a_group_without_controllers_knows_nothing_and_breaks_nothing() -> None:
    group = Group({})
    group.set_limits(Limits(memory_bytes=1, cpus=1, pids=1))
    group.kill()
    assert group.usage().cpu_s is None
    assert not group.limits_memory
    assert group.remove()


def test_a_kept_file_says_what_it_holds_now(tmp_path: Path) -> None:
    peak = tmp_path / "memory.peak"
    peak.write_text("777\n")
    files = KernelFiles()
    assert files.read(str(peak)) == "777\n"
    peak.write_text("12345\n")
    assert files.read(str(peak)) == "12345\n"
    files.write(str(peak), "0")
    assert peak.read_text() == "02345\n"
    files.close()
    assert files.read(str(tmp_path / "not there")) == ""
    files.write(str(tmp_path / "not there"), "0")
    assert not (tmp_path / "not there").exists()
