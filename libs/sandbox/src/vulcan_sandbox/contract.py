"""What every backend must do, as tests that each one passes unchanged.

A backend's test module has one class:

    class TestMyBackend(BackendContract):
        @pytest_asyncio.fixture
        async def target(self) -> AsyncIterator[Target]:
            ...
            yield Target(backend=backend, programs=MyPrograms(), leftovers=..., reborn=...)

The programs differ per language, so a backend brings its own; a behaviour that its language cannot show is None, and
its test is skipped. The tests wait for things and never for time to pass, but for what a timeout is.
"""

import asyncio
import time
import unittest
from typing import Final

import msgspec

from vulcan_contracts.reasons import Reason
from vulcan_contracts.spec import Resources
from vulcan_sandbox.contract_tools import (
    DEADLINE_S,
    Output,
    Programs,
    Target,
    available,
    ignore,
    prepared,
    request,
    run,
    within,
)
from vulcan_sandbox.protocol import Exit, RunRefusedError

__all__ = ["BackendContract", "Output", "Programs", "Target", "prepared", "request", "run", "within"]

_FLOOD_BYTES: Final = 4 * 1_048_576


class BackendContract:
    """The tests. Subclass it and provide the fixture `target`."""

    async def test_probe_says_that_it_works(self, target: Target) -> None:
        """A backend that is under test must find itself able to work, and say by what means."""
        report = await within(target.backend.probe())
        assert report.available, report.unavailable_reason
        assert report.isolation == target.backend.isolation
        assert report.engine
        assert target.backend.capacity.slots > 0

    async def test_output_comes_on_its_stream(self, target: Target) -> None:
        """Both streams, each its own line, and an exit code of 0."""
        exit_, output = await run(target, target.programs.prints("hello ✓", "oh no"))
        assert (exit_.exit_code, exit_.signal, exit_.reason) == (0, None, None), exit_
        assert output.stdout == "hello ✓\n"
        assert output.stderr == "oh no\n"

    async def test_any_bytes_come_through(self, target: Target) -> None:
        """Output is bytes: NUL, invalid UTF-8 and a missing line end arrive as they were written."""
        data = b"\x00\xff\xfe \xe2\x9c\x93 \xed\xa0\x80 end"
        exit_, output = await run(target, available(target.programs.prints_bytes(data)))
        assert exit_.exit_code == 0, exit_
        assert bytes(output.streams["stdout"]) == data

    async def test_much_output_is_whole_and_in_order(self, target: Target) -> None:
        """Nothing is lost, doubled or moved in 20,000 lines, and all of it is there when `wait` returns."""
        exit_, output = await run(target, target.programs.counts(20_000))
        assert exit_.exit_code == 0, exit_
        assert output.stdout.split() == [str(number) for number in range(1, 20_001)]

    async def test_stdin(self, target: Target) -> None:
        """Stdin is there, with its line ends and beyond ASCII."""
        spec = msgspec.structs.replace(target.programs.echoes_stdin(), stdin="one\ntwo ✓\n")
        _, output = await run(target, spec)
        assert output.stdout.rstrip("\n") == "one\ntwo ✓"

    async def test_args(self, target: Target) -> None:
        """Arguments keep their blanks, quotes and order."""
        arguments = ["a b", "--flag=✓", "'quoted\"", ""]
        _, output = await run(target, msgspec.structs.replace(target.programs.prints_args(), args=arguments))
        assert output.stdout.split("\n")[:-1] == arguments

    async def test_env(self, target: Target) -> None:
        """An environment variable is what the spec says."""
        spec = msgspec.structs.replace(target.programs.prints_env("GREETING"), env={"GREETING": "hi there=✓"})
        _, output = await run(target, spec)
        assert output.stdout == "hi there=✓\n"

    async def test_exit_code(self, target: Target) -> None:
        """The code's own exit code, and no reason: the run loop makes one of it."""
        exit_, _ = await run(target, target.programs.exits(7))
        assert (exit_.exit_code, exit_.signal, exit_.reason) == (7, None, None)

    async def test_result(self, target: Target) -> None:
        """A JSON value comes back as it is."""
        value = {"n": 1, "list": [True, None, 1.5, "✓"], "nested": {"a": {}}}
        exit_, _ = await run(target, available(target.programs.returns(value)))
        assert exit_.has_result, exit_
        assert exit_.result == value

    async def test_null_is_a_result(self, target: Target) -> None:
        """A result of null differs from none."""
        exit_, _ = await run(target, available(target.programs.returns(None)))
        assert (exit_.has_result, exit_.result) == (True, None)

    async def test_no_result(self, target: Target) -> None:
        """A program that only prints has no result."""
        exit_, _ = await run(target, target.programs.prints("a", "b"))
        assert not exit_.has_result

    async def test_several_files(self, target: Target) -> None:
        """The source's files find each other."""
        _, output = await run(target, available(target.programs.imports_sibling("from next door")))
        assert output.stdout == "from next door\n"

    async def test_usage(self, target: Target) -> None:
        """Wall time is measured, and nothing is negative."""
        exit_, _ = await run(target, target.programs.counts(1000))
        assert exit_.usage.wall_ms >= 0
        assert exit_.usage.cpu_ms is None or exit_.usage.cpu_ms >= 0
        assert exit_.usage.max_memory_bytes is None or exit_.usage.max_memory_bytes >= 0

    async def test_kill_ends_code_that_waits(self, target: Target) -> None:
        """A kill ends it within the grace and a bit, and nothing of it is left after `close`."""
        async with prepared(target, target.programs.hangs()) as sandbox:
            output = Output()
            await within(sandbox.start(output))
            await within(output.until(lambda out: "ready" in out.stdout))
            await within(sandbox.kill(1.0))
            exit_ = await within(sandbox.wait())
            assert exit_.exit_code != 0, exit_
        assert_nothing_left(target)

    async def test_kill_ends_code_that_spins(self, target: Target) -> None:
        """Code that never listens is ended all the same."""
        async with prepared(target, available(target.programs.spins())) as sandbox:
            output = Output()
            await within(sandbox.start(output))
            await within(output.until(lambda out: "ready" in out.stdout))
            await within(sandbox.kill(0.2))
            exit_ = await within(sandbox.wait())
            assert exit_.exit_code != 0, exit_
        assert_nothing_left(target)

    async def test_kill_at_once(self, target: Target) -> None:
        """Without grace, the end comes soon, also when it is asked for twice and again afterwards."""
        async with prepared(target, target.programs.hangs()) as sandbox:
            output = Output()
            await within(sandbox.start(output))
            await within(output.until(lambda out: "ready" in out.stdout))
            waiting = asyncio.create_task(sandbox.wait())
            await within(asyncio.gather(sandbox.kill(0), sandbox.kill(0)))
            await within(waiting)
            await within(sandbox.kill(0))
        assert_nothing_left(target)

    async def test_a_shorter_grace_counts(self, target: Target) -> None:
        """A kill without grace overtakes one with a long grace."""
        program = target.programs.spins() or target.programs.hangs()
        async with prepared(target, program) as sandbox:
            output = Output()
            await within(sandbox.start(output))
            await within(output.until(lambda out: "ready" in out.stdout))
            began = time.monotonic()
            patient = asyncio.create_task(sandbox.kill(DEADLINE_S * 2))
            await asyncio.sleep(0)
            await within(sandbox.kill(0))
            await within(sandbox.wait())
            await within(patient)
            assert time.monotonic() - began < DEADLINE_S

    async def test_kill_before_start(self, target: Target) -> None:
        """Code that is killed before its start never runs."""
        sandbox = await within(target.backend.prepare(request(target.programs.prints("never", "never")), ignore))
        try:
            await within(sandbox.kill(0))
        finally:
            await within(sandbox.close())
        assert_nothing_left(target)

    async def test_kill_after_the_end(self, target: Target) -> None:
        """A kill that comes too late changes nothing."""
        async with prepared(target, target.programs.exits(3)) as sandbox:
            await within(sandbox.start(Output()))
            assert (await within(sandbox.wait())).exit_code == 3
            await within(sandbox.kill(1.0))
            assert (await within(sandbox.wait())).exit_code == 3

    async def test_output_waits_for_its_reader(self, target: Target) -> None:
        """A backend reads no further while the sink does not return: what it holds is bounded."""
        async with prepared(target, target.programs.floods()) as sandbox:
            output = Output()
            output.open.clear()
            await within(sandbox.start(output))
            await within(output.until(lambda out: out.size > 0))
            taken = output.size
            assert output.waiting <= 2, "a stream was given to the sink twice at once"
            assert taken < _FLOOD_BYTES
            output.open.set()
            await within(output.until(lambda out: out.size > taken + _FLOOD_BYTES))
            await within(sandbox.kill(0))
            await within(sandbox.wait())
        assert_nothing_left(target)

    async def test_a_flood_ends_while_its_reader_waits(self, target: Target) -> None:
        """Code that is blocked on its output can be ended."""
        async with prepared(target, target.programs.floods()) as sandbox:
            output = Output()
            output.open.clear()
            await within(sandbox.start(output))
            await within(output.until(lambda out: out.size > 0))
            killing = asyncio.create_task(sandbox.kill(0))
            output.open.set()
            await within(killing)
            await within(sandbox.wait())
        assert_nothing_left(target)

    async def test_memory_limit(self, target: Target) -> None:
        """A run that takes more memory than it may ends for that reason, and takes nobody with it."""
        program = available(target.programs.hogs_memory())
        limited = msgspec.structs.replace(program, resources=Resources(memory_mb=64))
        exit_, _ = await run(target, limited)
        assert exit_.reason is Reason.OUT_OF_MEMORY, exit_
        exit_, output = await run(target, target.programs.prints("still here", ""))
        assert output.stdout == "still here\n"

    async def test_artifacts(self, target: Target) -> None:
        """Files that match are there after the end, whole, again at each reading; others are not."""
        program = available(target.programs.leaves("out/deep/report.txt", "42 ✓"))
        patterns = ["out/**/*.txt"]
        async with prepared(target, msgspec.structs.replace(program, artifacts=patterns)) as sandbox:
            await within(sandbox.start(Output()))
            exit_ = await within(sandbox.wait())
            assert exit_.exit_code == 0, exit_
            (artifact,) = await within(sandbox.artifacts(patterns))
            assert artifact.name == "out/deep/report.txt"
            assert artifact.size_bytes == len("42 ✓".encode())
            for _ in range(2):
                assert b"".join([chunk async for chunk in artifact.chunks()]) == "42 ✓".encode()
            assert await within(sandbox.artifacts(["*.txt", "out/*.txt"])) == []

    async def test_a_broken_program_is_its_owners_fault(self, target: Target) -> None:
        """Never `backend_error`, and nothing is left of it."""
        program = available(target.programs.is_broken())
        try:
            exit_, _ = await run(target, program)
        except RunRefusedError as refusal:
            exit_ = Exit(reason=refusal.reason)
        assert exit_.reason in (Reason.INVALID_SOURCE, None), exit_
        assert exit_.reason is not None or exit_.exit_code not in (0, None), exit_
        assert_nothing_left(target)

    async def test_several_at_once(self, target: Target) -> None:
        """Runs of several tenants do not see each other's output."""
        count = min(4, target.backend.capacity.slots)

        async def one(number: int) -> None:
            exit_, output = await run(target, target.programs.prints(f"I am {number}", ""), tenant=f"tenant-{number}")
            assert exit_.exit_code == 0, exit_
            assert output.stdout == f"I am {number}\n"

        await asyncio.gather(*(one(number) for number in range(count)))
        assert_nothing_left(target)

    async def test_one_after_the_other(self, target: Target) -> None:
        """A tenant's runs leave nothing to each other."""
        for number in range(5):
            exit_, output = await run(target, target.programs.prints(f"run {number}", ""))
            assert exit_.exit_code == 0, exit_
            assert output.stdout == f"run {number}\n"
        assert_nothing_left(target)

    async def test_close_without_start(self, target: Target) -> None:
        """A sandbox that was never used goes away like any other, and closing is harmless to repeat."""
        sandbox = await within(target.backend.prepare(request(target.programs.prints("a", "b")), ignore))
        await within(sandbox.close())
        await within(sandbox.close())
        assert_nothing_left(target)

    async def test_close_while_it_runs(self, target: Target) -> None:
        """Closing ends the code, and whoever waits for it."""
        sandbox = await within(target.backend.prepare(request(target.programs.hangs()), ignore))
        output = Output()
        await within(sandbox.start(output))
        await within(output.until(lambda out: "ready" in out.stdout))
        waiting = asyncio.create_task(sandbox.wait())
        await within(sandbox.close())
        await within(asyncio.wait({waiting}))
        waiting.exception()  # that it ended is enough
        assert_nothing_left(target)

    async def test_cancelled_prepare_leaves_nothing(self, target: Target) -> None:
        """A prepare that is given up, at any point, leaves nothing behind."""
        for steps in range(6):
            preparing = asyncio.create_task(target.backend.prepare(request(target.programs.prints("a", "b")), ignore))
            for _ in range(steps):
                await asyncio.sleep(0)
            preparing.cancel()
            await within(asyncio.wait({preparing}))
            if not preparing.cancelled():
                await within(preparing.result().close())
        assert_nothing_left(target)

    async def test_recover_destroys_orphans(self, target: Target) -> None:
        """The next life of a backend clears away what this one left when it crashed."""
        if target.reborn is None:
            raise unittest.SkipTest("this backend cannot be made to crash here")
        sandbox = await within(target.backend.prepare(request(target.programs.hangs()), ignore))
        output = Output()
        await within(sandbox.start(output))
        await within(output.until(lambda out: "ready" in out.stdout))
        target.backend = await within(target.reborn())
        await within(target.backend.recover())
        assert_nothing_left(target)
        _, output = await run(target, target.programs.prints("new life", ""))
        assert output.stdout == "new life\n"


def assert_nothing_left(target: Target) -> None:
    """No sandbox, and nothing of any, is there."""
    left = list(target.leftovers())
    assert not left, f"left behind: {left}"
