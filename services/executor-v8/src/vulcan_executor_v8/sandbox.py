"""One run in one host: its sources, its output, its end."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec

from vulcan_contracts.outcome import Usage
from vulcan_contracts.reasons import Reason
from vulcan_executor_v8.artifacts import ArtifactLimitError, Spool
from vulcan_executor_v8.cgroups.group import Limits
from vulcan_executor_v8.cgroups.group import Usage as GroupUsage
from vulcan_executor_v8.egress.proxy import EgressProxy
from vulcan_executor_v8.host.channel import ChannelBrokenError, Frame, FrameTooLargeError
from vulcan_executor_v8.host.pipes import OutputPipe, Readable
from vulcan_executor_v8.host.process import Host
from vulcan_executor_v8.verdict import Ended, judge
from vulcan_executor_v8.watch import Watch, Watched
from vulcan_sandbox.protocol import BackendFaultError, Exit, OutputSink, OutputStream, ProducedArtifact, RunRequest

_TAIL_BYTES: Final = 8192
_DEATH_WAIT_S: Final = 0.5
_NAMES_TOLD: Final = 5
_SIGKILL: Final = 9


class V8Sandbox:
    """A host that holds one attempt."""

    def __init__(
        self,
        run: RunRequest,
        host: Host,
        *,
        folder: str,
        limits: Limits,
        spool: Spool,
        watch: Watch,
        release: Callable[["V8Sandbox", Host | None], None],
        say: Callable[[str], None],
        proxy: EgressProxy | None,
        kill_timeout_s: float,
    ) -> None:
        self._run = run
        self._host = host
        self._folder = folder
        self._limits = limits
        self._spool = spool
        self._watch = watch
        self._release = release
        self._say = say
        self._proxy = proxy
        self._kill_timeout_s = kill_timeout_s
        self._nonce = ""
        self._end: Frame | None = None
        self._asked = False
        self._stopped: tuple[Reason, str] | None = None
        self._tail = bytearray()
        self._output_bytes = 0
        self._started_at = 0.0
        self._before = GroupUsage()
        self._watched: Watched | None = None
        self._task: asyncio.Task[Exit] | None = None
        self._closed = False

    @property
    def host_name(self) -> str:
        """The host that it runs in."""
        return self._host.name

    @property
    def image_digest(self) -> str | None:
        """None: V8 runs no images."""
        return None

    async def start(self, sink: OutputSink) -> None:
        """Let the code run.

        Raises:
            BackendFaultError: the host did not take it.
        """
        spec, host = self._run.spec, self._host
        if self._run.source is None:
            raise BackendFaultError("V8 was given a run without a source.")
        host.group.reset_peak()
        self._before = host.group.usage()
        self._watched = Watched(
            host,
            cpu_limit_s=spec.cpu_time_limit_s,
            memory_limit=None if host.group.limits_memory else self._limits.memory_bytes,
            memory_mb=spec.resources.memory_mb,
            stop=self._stop,
        )
        self._started_at = time.monotonic()
        try:
            self._nonce = await host.request(
                {
                    "type": "run",
                    "url": host.url(self._folder, self._run.source.entrypoint),
                    "folder": host.url(self._folder, ""),
                    "args": spec.args,
                    "env": spec.env,
                    "input": _input(spec.input, spec.stdin),
                    "artifacts": {"bytes": self._spool.max_bytes, "count": self._spool.max_count},
                }
            )
        except ChannelBrokenError as error:
            raise BackendFaultError(f"The run's host was gone before it began: {error}.") from error
        self._watch.add(self._watched)
        self._task = asyncio.get_running_loop().create_task(self._follow(sink))

    async def wait(self) -> Exit:
        """The end of the code.

        Raises:
            BackendFaultError: the host or the machine is to blame.
        """
        if self._task is None:
            raise BackendFaultError("The run was never started.")
        await asyncio.wait({self._task})
        return Exit(signal=_SIGKILL) if self._task.cancelled() else self._task.result()

    async def kill(self, grace_s: float) -> None:  # noqa: ARG002  # a Worker takes no signal: nothing to wait for
        """End the code at once: there is no way to ask a Worker."""
        if self._end is None and (self._task is None or not self._task.done()):
            self._asked = True
            self._host.kill()

    async def artifacts(self, patterns: list[str]) -> list[ProducedArtifact]:
        """The artifacts that a pattern means."""
        return list(self._spool.matching(patterns))

    async def close(self) -> None:
        """Give the host back if the code ended by itself, and destroy it if not."""
        if self._closed:
            return
        self._closed = True
        reusable = self._end is not None and self._task is not None and self._task.done() and not self._run.spec.stdin
        if not reusable:
            self._host.kill()
        await self._stop_following()
        self._spool.close()
        if self._proxy is not None:
            await self._proxy.close()
        if reusable:
            try:
                await self._host.remove_source(self._folder)
            finally:
                self._release(self, self._host)
            return
        self._release(self, None)
        if not await self._host.close(self._kill_timeout_s):
            raise BackendFaultError(f"Host {self._host.name} could not be removed.")

    async def abandon(self) -> None:
        """Let go of the run without ending it."""
        await self._stop_following()
        self._spool.close()
        if self._proxy is not None:
            await self._proxy.close()
        await self._host.let_go()

    async def _stop_following(self) -> None:
        if self._watched is not None:
            self._watch.discard(self._watched)
        if self._task is None:
            return
        if not self._task.done():
            self._task.cancel()
            await asyncio.wait({self._task})
        if not self._task.cancelled():
            self._task.exception()  # whoever waited has seen it

    async def _follow(self, sink: OutputSink) -> Exit:
        readable = Readable([self._host.stdout, self._host.stderr])
        control = asyncio.ensure_future(self._control())
        control.add_done_callback(lambda _: readable.wake())
        helpers: list[asyncio.Future[Any]] = [control]
        if self._host.stdin.open:
            helpers.append(asyncio.ensure_future(self._host.stdin.write_all(self._run.spec.stdin.encode())))
        try:
            await self._pump(sink, readable, control)
            exit_ = judge(self._ended(await control))
            self._tell_undeclared()
            return exit_
        finally:
            readable.close()
            if self._watched is not None:
                self._watch.discard(self._watched)
            for task in helpers:
                task.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)

    async def _pump(self, sink: OutputSink, readable: Readable, control: "asyncio.Future[int | None]") -> None:
        pipes: tuple[tuple[OutputStream, OutputPipe], ...] = (
            ("stdout", self._host.stdout),
            ("stderr", self._host.stderr),
        )
        while True:
            over = control.done()
            quiet = True
            for stream, pipe in pipes:
                data = pipe.read()
                if data:
                    quiet = False
                    self._output_bytes += len(data)
                    if stream == "stderr":
                        self._tail += data
                        del self._tail[:-_TAIL_BYTES]
                    await sink(stream, data)
            if quiet and over:
                return
            if quiet:
                await readable.wait()
            else:
                await asyncio.sleep(0)  # a sink that takes everything at once must not keep the others waiting

    async def _control(self) -> int | None:
        """Read what the host says, to its end or its death: None for an end that it said, else its exit status."""
        channel = self._host.channel
        try:
            while True:
                frame = await channel.receive()
                if not frame.answers(self._nonce):
                    raise ChannelBrokenError("a frame without the secret")
                if frame.type == "artifact":
                    await self._keep(frame)
                elif frame.type == "end":
                    self._end = frame
                    return None
        except ArtifactLimitError as error:
            self._stop(Reason.DISK_LIMIT, str(error))
        except FrameTooLargeError:
            self._stop(Reason.OUTPUT_LIMIT, "The result is far too large. Write it to an artifact instead.")
        except ChannelBrokenError:
            return await self._death()
        return await self._death()

    async def _keep(self, frame: Frame) -> None:
        try:
            await self._spool.take(frame, self._host.channel)
        except OSError as error:
            self._host.kill()
            raise BackendFaultError(f"The run's artifacts could not be stored: {error.strerror}.") from error

    async def _death(self) -> int | None:
        """The exit status of the host, which gets a moment to die by itself; None if it had to be killed."""
        try:
            async with asyncio.timeout(_DEATH_WAIT_S):
                return await self._host.wait()
        except TimeoutError:
            self._host.kill()
            await self._host.wait()
            return None

    def _tell_undeclared(self) -> None:
        lost = self._spool.undeclared(self._run.spec.artifacts)
        if lost:
            names = ", ".join(lost[:_NAMES_TOLD]) + (" ..." if len(lost) > _NAMES_TOLD else "")
            self._say(f"Not kept, because no pattern in the workload's artifacts means it: {names}")

    def _stop(self, reason: Reason, message: str) -> None:
        if self._end is None and self._stopped is None and not self._asked:
            self._stopped = (reason, message)
            self._host.kill()

    def _ended(self, status: int | None) -> Ended:
        after = self._host.group.usage()
        peak = after.peak_bytes
        if peak is None and self._watched is not None:
            peak = self._watched.peak_bytes or None
        usage = Usage(
            wall_ms=round((time.monotonic() - self._started_at) * 1000, 3),
            cpu_ms=None if self._watched is None else round(self._watched.cpu_s * 1000, 3),
            max_memory_bytes=peak,
            output_bytes=self._output_bytes,
        )
        stopped, message = self._stopped or (None, "")
        return Ended(
            code=None if self._end is None else self._end.code,
            result=None if self._end is None else self._end.result,
            status=status,
            stopped=stopped,
            stopped_message=message,
            asked=self._asked,
            immune=self._host.jailed,
            stderr_tail=bytes(self._tail),
            oom_kills=after.oom_kills - self._before.oom_kills,
            pids_hits=after.pids_hits - self._before.pids_hits,
            peak_bytes=peak,
            limit_bytes=self._limits.memory_bytes,
            memory_mb=self._run.spec.resources.memory_mb,
            pids=self._run.spec.resources.pids,
            usage=usage,
        )


def _input(value: Any, stdin: str) -> dict[str, str]:
    if value is not None:
        return {"json": msgspec.json.encode(value).decode()}
    return {"text": stdin}
