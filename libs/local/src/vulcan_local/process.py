"""One life of a service: its process, its output line by line, and its end."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from vulcan_local import launch
from vulcan_local.service import PRIVATE_UMASK, Identity, Service, StopStep

MAX_LINE_BYTES: Final = 16_384
OPEN_FILES: Final = 65_536
_CHUNK_BYTES: Final = 65_536
_KILL_TIMEOUT_S: Final = 10.0
_OUTPUT_GRACE_S: Final = 1.0


def launch_command(
    argv: Sequence[str],
    *,
    identity: Identity | None = None,
    death_signal: int = signal.SIGKILL,
    umask: int = PRIVATE_UMASK,
    out_of_chroot: bool = False,
) -> list[str]:
    """The command that runs `argv` so that it dies with this process, as another user if asked."""
    plan: dict[str, Any] = {
        "parent": os.getpid(),
        "death_signal": int(death_signal),
        "argv": list(argv),
        "umask": umask,
        "out_of_chroot": out_of_chroot,
        "open_files": OPEN_FILES,
    }
    if identity is not None:
        plan |= {"uid": identity.uid, "gid": identity.gid, "binds": list(identity.binds)}
    return [sys.executable, "-I", "-S", str(Path(launch.__file__)), json.dumps(plan)]


class Process:
    """A running program in a session of its own, so that a Ctrl-C on the terminal reaches the supervisor alone."""

    def __init__(
        self,
        child: asyncio.subprocess.Process,
        output: asyncio.StreamReader,
        pipe: asyncio.ReadTransport,
        on_line: Callable[[str], None],
    ) -> None:
        self._child = child
        self._pipe = pipe
        self._on_line = on_line
        self._reading = asyncio.create_task(self._read(output), name=f"output of {child.pid}")

    @classmethod
    async def start(cls, service: Service, on_line: Callable[[str], None]) -> "Process":
        """Start the service's program.

        Its output comes through a pipe of our own: asyncio's would count the process as running for as long as any
        grandchild holds the pipe open.
        """
        reading, writing = os.pipe()
        output = asyncio.StreamReader()
        pipe, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(output), os.fdopen(reading, "rb", buffering=0)
        )
        try:
            child = await asyncio.create_subprocess_exec(
                *launch_command(
                    service.argv,
                    identity=service.identity,
                    death_signal=service.death_signal,
                    umask=service.umask,
                    out_of_chroot=service.out_of_chroot,
                ),
                env=dict(service.env),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=writing,
                stderr=writing,
                start_new_session=True,
            )
        except BaseException:
            pipe.close()
            raise
        finally:
            os.close(writing)
        return cls(child, output, pipe, on_line)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._child.pid

    @property
    def ended(self) -> bool:
        """True once the process is gone."""
        return self._child.returncode is not None

    async def wait(self) -> int:
        """Wait for the end and the last of the output; gives the exit code, negative for a signal."""
        code = await self._child.wait()
        # A grandchild may hold the pipe open: what it prints later is not worth waiting for.
        _, late = await asyncio.wait({self._reading}, timeout=_OUTPUT_GRACE_S)
        for task in late:
            task.cancel()
        self._pipe.close()
        return code

    async def stop(self, steps: Sequence[StopStep]) -> bool:
        """Ask to end, in ever plainer ways, at last by SIGKILL. True if SIGKILL was not needed."""
        for step in steps:
            if self.ended:
                return True
            with suppress(ProcessLookupError):
                self._child.send_signal(step.signal)
            try:
                await asyncio.wait_for(self._child.wait(), step.timeout_s)
            except TimeoutError:
                continue
            self.kill_group()  # what it left in its group
            return True
        self.kill_group()
        await asyncio.wait_for(self._child.wait(), _KILL_TIMEOUT_S)
        return False

    def kill_group(self) -> None:
        """SIGKILL to everything in the process's group, now."""
        with suppress(ProcessLookupError):
            os.killpg(self._child.pid, signal.SIGKILL)

    async def _read(self, output: asyncio.StreamReader) -> None:
        pending = b""
        while chunk := await output.read(_CHUNK_BYTES):
            *lines, pending = (pending + chunk).split(b"\n")
            for line in lines:
                self._emit(line)
            if len(pending) > MAX_LINE_BYTES:
                self._emit(pending)
                pending = b""
        if pending:
            self._emit(pending)

    def _emit(self, line: bytes) -> None:
        text = line[:MAX_LINE_BYTES].decode("utf-8", "replace").rstrip("\r")
        self._on_line(text if len(line) <= MAX_LINE_BYTES else f"{text} [...]")


class CommandError(Exception):
    """A command that had to work did not. `output` is what it printed."""

    def __init__(self, argv: Sequence[str], code: int | None, output: str) -> None:
        ended = "took too long" if code is None else f"ended with {code}"
        super().__init__(f"{Path(argv[0]).name} {ended}: {output.strip()[-2000:]}")
        self.argv = list(argv)
        self.code = code
        self.output = output


async def run_command(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    timeout_s: float,
    identity: Identity | None = None,
    stdin: str = "",
) -> str:
    """Run a program to its end and give what it printed.

    Raises:
        CommandError: it failed or took longer than `timeout_s`.
    """
    child = await asyncio.create_subprocess_exec(
        *launch_command(argv, identity=identity),
        env=dict(env),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        output, _ = await asyncio.wait_for(child.communicate(stdin.encode()), timeout_s)
    except TimeoutError:
        raise CommandError(argv, None, "") from None
    finally:
        if child.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            await child.wait()
    text = output.decode("utf-8", "replace")
    if child.returncode != 0:
        raise CommandError(argv, child.returncode, text)
    return text
