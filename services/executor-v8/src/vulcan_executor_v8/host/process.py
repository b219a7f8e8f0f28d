"""One host: started, spoken to, measured and killed."""

import asyncio
import contextlib
import os
import secrets
import shutil
import signal
import time
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from vulcan_executor_v8.cgroups.group import Group, Limits
from vulcan_executor_v8.host.channel import Channel, ChannelBrokenError, Frame, Listener
from vulcan_executor_v8.host.pipes import InputPipe, OutputPipe
from vulcan_executor_v8.host.vitals import cpu_s, resident_bytes, workers
from vulcan_executor_v8.jail.launch import SECCOMP_FD, Launch, Launcher, Places, Profile
from vulcan_executor_v8.settings import V8Settings

_STDERR_KEPT: Final = 2048
_REMOVE_PAUSE_S: Final = 0.005


class HostStartError(Exception):
    """A host did not come up; the message says what it printed."""


class Host:
    """A live host. Make one with `start`; `tenant` is set once and for ever by whoever takes it first."""

    def __init__(
        self, name: str, folder: Path, profile: Profile, group: Group, launch: Launch, *, jailed: bool
    ) -> None:
        self.name = name
        self.jailed = jailed
        self.folder = folder
        self.profile = profile
        self.group = group
        self.stdout = OutputPipe()
        self.stderr = OutputPipe()
        self.stdin = InputPipe()
        self.tenant: str | None = None
        self.runs = 0
        self.pid = 0
        self.idle_since = 0.0
        self._workers = 1
        self._launch = launch
        self._channel: Channel | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._closed = False

    @property
    def source(self) -> Path:
        """The folder below which runs' sources are written; the host sees it read-only."""
        return self.folder / "src"

    def url(self, run: str, path: str) -> str:
        """The URL under which the host sees a file of a run."""
        return f"file://{quote(f'{self._launch.source_folder}/{run}/{path}')}"

    async def remove_source(self, run: str) -> None:
        """Remove what a run brought, but for one small file in a thread: thousands keep every other run waiting."""
        folder = self.source / run
        if _holds_one_file(folder):
            shutil.rmtree(folder, ignore_errors=True)
        else:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    @property
    def channel(self) -> Channel:
        """The control socket.

        Raises:
            ChannelBrokenError: it never was, or is no more.
        """
        if self._channel is None:
            raise ChannelBrokenError("the host has no control socket")
        return self._channel

    @property
    def alive(self) -> bool:
        """True until the process has ended."""
        return self._process is not None and self._process.returncode is None and not self._closed

    async def wait(self) -> int:
        """The exit status, as the shell counts: 128 + n for signal n."""
        if self._process is None:
            return 0
        status = await self._process.wait()
        return 128 - status if status < 0 else status

    def cpu_s(self) -> float:
        """The CPU seconds used since the start."""
        used = self.group.cpu_s()
        return cpu_s(self.pid) if used is None else used

    def memory_bytes(self) -> int:
        """The memory it holds now."""
        held = self.group.memory_bytes()
        return resident_bytes(self.pid) if held is None else held

    async def spawn(self, settings: V8Settings) -> None:
        """Start the process and wait until it can take a run.

        Raises:
            HostStartError: it did not come up.
        """
        listener = self._listener()
        try:
            await self._exec()
            async with asyncio.timeout(settings.start_timeout_s):
                self._channel, pid = await self._connected(listener, settings.max_frame_bytes)
                frame = await self._channel.receive()
        except (OSError, TimeoutError, ChannelBrokenError) as error:
            raise HostStartError(await self._postmortem(error)) from error
        finally:
            listener.close()
        self.pid = pid or frame.pid
        (self.folder / "ctl" / "sock").unlink(missing_ok=True)
        self.idle_since = time.monotonic()

    def _listener(self) -> Listener:
        path = self.folder / "ctl" / "sock"
        listener = Listener(str(path))
        path.chmod(0o666)  # the host is another user; the folder above keeps everyone else out
        listener.listen()
        return listener

    async def _exec(self) -> None:
        argv = self._launch.argv
        with contextlib.ExitStack() as stack:
            passed: tuple[int, ...] = ()
            if self._launch.seccomp is not None:
                descriptor = os.memfd_create("seccomp")
                stack.callback(os.close, descriptor)
                os.write(descriptor, self._launch.seccomp)
                os.lseek(descriptor, 0, os.SEEK_SET)
                argv = [str(descriptor) if part == SECCOMP_FD else part for part in argv]
                passed = (descriptor,)
            self._process = await asyncio.create_subprocess_exec(
                *argv,
                stdin=self.stdin.far_end,
                stdout=self.stdout.far_end,
                stderr=self.stderr.far_end,
                env=self._launch.env,
                cwd="/",
                pass_fds=passed,
                start_new_session=True,
            )
        for pipe in (self.stdin, self.stdout, self.stderr):
            pipe.started()

    async def _connected(self, listener: Listener, max_frame_bytes: int) -> tuple[Channel, int | None]:
        accept = asyncio.ensure_future(listener.accept(max_frame_bytes))
        death = asyncio.ensure_future(self.wait())
        try:
            await asyncio.wait({accept, death}, return_when=asyncio.FIRST_COMPLETED)
            if not accept.done():
                raise ChannelBrokenError(f"it exited with {death.result()}")
            return accept.result()
        finally:
            for task in (accept, death):
                task.cancel()
            await asyncio.gather(accept, death, return_exceptions=True)

    async def _postmortem(self, error: Exception) -> str:
        said = self.stderr.read()[:_STDERR_KEPT].decode("utf-8", "replace").strip()
        reason = str(error) or type(error).__name__
        return f"{reason}: {said}" if said else reason

    async def request(self, message: dict[str, Any]) -> str:
        """Send a request under a fresh nonce, which comes back.

        Raises:
            ChannelBrokenError: the host is gone.
        """
        nonce = secrets.token_hex(16)
        await self.channel.send({**message, "nonce": nonce})
        return nonce

    async def renew(self, timeout_s: float) -> bool:
        """Have the host make its next Worker; False if it does not, says anything else, or had others made since."""
        self._workers += 1
        try:
            async with asyncio.timeout(timeout_s):
                nonce = await self.request({"type": "renew"})
                frame: Frame = await self.channel.receive()
        except (ChannelBrokenError, TimeoutError):
            return False
        # A Worker that a program made may have left in the process what nobody sees, as a blob URL.
        return frame.type == "renewed" and frame.answers(nonce) and workers(self.pid) == frozenset({self._workers})

    def kill(self) -> None:
        """End every process of the host, now."""
        self.group.kill()
        if self.alive and self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            if self.pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.pid, signal.SIGKILL)

    async def let_go(self) -> None:
        """Close our ends of everything, as the death of this process would, and leave the host to itself."""
        if self._channel is not None:
            await self._channel.close()
        for pipe in (self.stdin, self.stdout, self.stderr):
            pipe.close()

    async def close(self, timeout_s: float) -> bool:
        """Kill it and remove everything that it was made of; False if something stayed."""
        if self._closed:
            return True
        self.kill()
        self._closed = True
        gone = await self._reaped(timeout_s)
        await self.let_go()
        await asyncio.to_thread(shutil.rmtree, self.folder, ignore_errors=True)
        deadline = time.monotonic() + timeout_s
        while not self.group.remove():  # the kernel still takes the last member down
            if time.monotonic() > deadline:
                return False
            self.group.kill()
            await asyncio.sleep(_REMOVE_PAUSE_S)
        return gone

    async def _reaped(self, timeout_s: float) -> bool:
        if self._process is None:
            return True
        try:
            async with asyncio.timeout(timeout_s):
                await self._process.wait()
        except TimeoutError:
            return False
        return True


async def start(
    folder: Path, profile: Profile, launcher: Launcher, group: Group, limits: Limits, settings: V8Settings
) -> Host:
    """A new host, ready for its first run.

    Raises:
        HostStartError: it did not come up; nothing of it is left.
    """
    places = Places(socket=folder / "ctl" / "sock", source=folder / "src", scratch=folder / "scratch")
    for place in (folder, folder / "ctl", places.source, places.scratch):
        place.mkdir()
        place.chmod(0o755)
    group.set_limits(limits)
    launch = launcher.launch(places, profile, group.join_files)
    host = Host(folder.name, folder, profile, group, launch, jailed=launcher.level != "none")
    try:
        await host.spawn(settings)
    except BaseException:
        await host.close(settings.kill_timeout_s)
        raise
    return host


def _holds_one_file(folder: Path) -> bool:
    try:
        with os.scandir(folder) as entries:
            first = next(entries, None)
            return first is not None and first.is_file(follow_symlinks=False) and next(entries, None) is None
    except OSError:
        return False
