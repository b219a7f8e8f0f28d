"""Runs programs on a V8 backend and keeps everything that came of it."""

import asyncio
import contextlib
from typing import Any

import msgspec
from msgspec import Struct

from vulcan_contracts.spec import FilesSource, InlineSource, Runtime, Spec
from vulcan_executor_v8.backend import V8Backend
from vulcan_executor_v8.sandbox import V8Sandbox
from vulcan_sandbox.contract import Output, request, within
from vulcan_sandbox.protocol import Exit


class Ran(Struct, kw_only=True):
    """One finished run."""

    exit: Exit
    output: Output
    artifacts: dict[str, bytes]
    said: list[str]
    host: str

    @property
    def stdout(self) -> str:
        return self.output.stdout

    @property
    def stderr(self) -> str:
        return self.output.stderr

    @property
    def result(self) -> Any:
        assert self.exit.has_result, (self.exit, self.stderr)
        return self.exit.result


def program(
    code: str | dict[str, str], runtime: Runtime = "typescript", entrypoint: str = "main.ts", **rest: Any
) -> Spec:
    source = InlineSource(code=code) if isinstance(code, str) else FilesSource(files=code, entrypoint=entrypoint)
    return Spec(source=source, runtime=runtime, isolation="v8", **rest)


async def run(
    backend: V8Backend, spec: Spec | str, *, tenant: str = "t", timed_out_after_s: float | None = None
) -> Ran:
    """Run to the end; with `timed_out_after_s`, killed then, as the run loop would."""
    spec = program(spec) if isinstance(spec, str) else spec
    output, said = Output(), list[str]()
    sandbox = await within(backend.prepare(request(spec, tenant=tenant), said.append))
    assert isinstance(sandbox, V8Sandbox)
    try:
        await within(sandbox.start(output))
        if timed_out_after_s is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timed_out_after_s):
                    await sandbox.wait()
            await within(sandbox.kill(0))
        exit_ = await within(sandbox.wait(), 60)
        artifacts = {
            artifact.name: b"".join([chunk async for chunk in artifact.chunks()])
            for artifact in await sandbox.artifacts(spec.artifacts)
        }
        return Ran(exit=exit_, output=output, artifacts=artifacts, said=said, host=sandbox.host_name)
    finally:
        await within(sandbox.close())


def limited(spec: Spec, **resources: Any) -> Spec:
    return msgspec.structs.replace(spec, resources=msgspec.structs.replace(spec.resources, **resources))
