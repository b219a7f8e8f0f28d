"""What a launched program is and sees: another user in folders that it could not reach; no chroot any more."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from vulcan_local.process import CommandError, launch_command, run_command
from vulcan_local.service import Identity

NOBODY = 65534
TIMEOUT_S = 30.0

MAY_CHROOT = (
    subprocess.run(["unshare", "--mount", "--propagation", "private", "true"], stderr=subprocess.DEVNULL).returncode
    == 0
)
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


async def launched(*argv: str, identity: Identity | None = None) -> str:
    return await run_command(argv, env={"PATH": os.defpath}, timeout_s=TIMEOUT_S, identity=identity)


async def test_it_has_its_output_its_exit_code_and_a_closed_umask() -> None:
    assert await launched("/bin/sh", "-c", "umask; pwd") == "0077\n/\n"
    with pytest.raises(CommandError, match="sh ended with 3: gone wrong") as raised:
        await launched("/bin/sh", "-c", "echo gone wrong >&2; exit 3")
    assert raised.value.code == 3


@as_root
async def test_another_user_sees_what_it_is_shown_of_a_closed_folder_and_no_more(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    for name in ("shown", "hidden"):
        (closed / name).mkdir(parents=True)
        (closed / name / "file").write_text(name)
    closed.chmod(0o700)
    identity = Identity(uid=NOBODY, gid=NOBODY, binds=[(str(closed / "shown"), "a/b")])
    look = f"id -u; id -G; cat /tmp/vulcan/a/b/file; cat {closed}/hidden/file || echo; ls /tmp/vulcan/a"
    seen = (await launched("/bin/sh", "-c", look, identity=identity)).splitlines()
    assert seen[:2] == [str(NOBODY), str(NOBODY)]
    assert seen[2].startswith("shown")
    assert "hidden" not in [line.strip() for line in seen]
    assert seen[-1] == "b"
    assert str(tmp_path) not in await launched("/bin/cat", "/proc/self/mountinfo")  # the mounts were for it alone


MAKES_A_CHROOT = """
set -e
mkdir "$1/tmp"
mount --bind /tmp "$1/tmp"
for entry in /*; do
  if [ -L "$entry" ]; then cp -P "$entry" "$1$entry"
  elif [ -d "$entry" ] && [ "$entry" != /tmp ]; then mkdir "$1$entry"; mount --rbind "$entry" "$1$entry"; fi
done
shift
exec "$@"
"""


@as_root
@pytest.mark.skipif(not MAY_CHROOT, reason="no mount namespaces here, as in a chroot: leaving a chroot is NOT tested")
def test_an_executor_is_no_longer_in_a_chroot_and_sees_the_same(tmp_path: Path) -> None:
    inside = tmp_path / "root"
    inside.mkdir()
    (inside / "mark").write_text("in the chroot")
    command = launch_command(["/bin/sh", "-c", "cat /mark; echo; unshare -r true && echo may"], out_of_chroot=True)
    # The launched program's parent has to be the process that the plan names: run it by a Python in the chroot.
    runs = (
        "import json, os, subprocess, sys; argv = json.loads(sys.argv[1]); plan = json.loads(argv[-1])\n"
        "plan['parent'] = os.getpid(); argv[-1] = json.dumps(plan); sys.exit(subprocess.run(argv).returncode)"
    )
    done = subprocess.run(
        [
            *("unshare", "--mount", "--propagation", "private", "sh", "-c", MAKES_A_CHROOT, "sh", str(inside)),
            *("chroot", str(inside), sys.executable, "-c", runs, json.dumps(command)),
        ],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    assert done.stdout.splitlines() == ["in the chroot", "may"], done.stderr
