"""The fake backend's language: one command a line, words by shell rules, `#` begins a comment.

print TEXT            a line on stdout             sleep SECONDS
error TEXT            a line on stderr             exit CODE
write HEX             bytes on stdout              signal NUMBER
stdin                 stdin on stdout              limit REASON TEXT   end with a reason of the backend's
args                  each argument, a line        result JSON
env NAME              its value, a line            file PATH TEXT      leave a file behind
count N               N numbered lines             include PATH        run another file of the source
flood                 print until killed           hang                until killed, at the first signal
on_term CODE          hang; at SIGTERM exit so     ignore_term         hang; only SIGKILL helps
fault TEXT            the host fails in `wait`     bug TEXT            the backend raises what it should not
prepare slow SECONDS | fault TEXT | bug TEXT | refuse REASON TEXT | say TEXT | hang
"""

import asyncio
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NoReturn

import msgspec

from vulcan_contracts.paths import path_problem
from vulcan_contracts.reasons import Reason
from vulcan_contracts.spec import Spec
from vulcan_sandbox.protocol import BackendFaultError, Exit, OutputSink, RunRefusedError

_SIGTERM: Final = 15
_FLOOD_CHUNK: Final = b"flood " * 1000 + b"\n"
_ARITY: Final = {
    "print": (0, 99), "error": (0, 99), "write": (1, 1), "stdin": (0, 0), "args": (0, 0), "env": (1, 1),
    "count": (1, 1), "flood": (0, 0), "on_term": (1, 1), "fault": (0, 99), "sleep": (1, 1), "exit": (1, 1),
    "signal": (1, 1), "limit": (1, 99), "result": (1, 1), "file": (2, 2), "include": (1, 1), "hang": (0, 0),
    "ignore_term": (0, 0), "bug": (0, 99), "prepare": (1, 99),
}  # fmt: skip


class _Ended(Exception):
    def __init__(self, exit_: Exit) -> None:
        self.exit = exit_


class Script:
    """A parsed script, and the files that it left."""

    def __init__(self, commands: list[list[str]]) -> None:
        self._commands = [words for words in commands if words[0] != "prepare"]
        self._preparing = [words[1:] for words in commands if words[0] == "prepare"]
        self.files: dict[str, bytes] = {}
        self._result: Any = None
        self._has_result = False

    async def prepare(self, say: Callable[[str], None]) -> None:
        """Do what is to happen before the start."""
        for what, *words in self._preparing:
            text = " ".join(words)
            match what:
                case "say":
                    say(text)
                case "slow":
                    await asyncio.sleep(float(text))
                case "hang":
                    await asyncio.Event().wait()
                case "fault":
                    raise BackendFaultError(text)
                case "bug":
                    raise RuntimeError(text)
                case "refuse":
                    raise RunRefusedError(Reason(words[0]), " ".join(words[1:]))
                case _:
                    _refuse(f"prepare {what}?")

    async def run(self, spec: Spec, sink: OutputSink, term: asyncio.Event) -> Exit:
        """Do the rest."""
        try:
            for command, *words in self._commands:
                await self._do(command, words, spec, sink, term)
        except _Ended as ended:
            return ended.exit
        return Exit(exit_code=0, has_result=self._has_result, result=self._result)

    async def _do(self, command: str, words: list[str], spec: Spec, sink: OutputSink, term: asyncio.Event) -> None:
        text = " ".join(words)
        if command in _OUTPUT:
            await _OUTPUT[command](text, spec, sink)
        elif command == "sleep":
            await self._sleep(float(text), term)
        elif command in ("hang", "on_term", "ignore_term"):
            await self._hang(command, text, term)
        elif command == "flood":
            while not term.is_set():
                await sink("stdout", _FLOOD_CHUNK)
                await asyncio.sleep(0)
            raise _Ended(Exit(signal=_SIGTERM))
        elif command == "result":
            self._has_result, self._result = True, msgspec.json.decode(text)
        elif command == "file":
            self.files[words[0]] = words[1].encode()
        else:
            _end(command, words)

    async def _sleep(self, seconds: float, term: asyncio.Event) -> None:
        try:
            async with asyncio.timeout(seconds):
                await term.wait()
        except TimeoutError:
            return
        raise _Ended(Exit(signal=_SIGTERM))

    async def _hang(self, command: str, text: str, term: asyncio.Event) -> None:
        await term.wait()
        if command == "ignore_term":
            await asyncio.Event().wait()
        raise _Ended(Exit(exit_code=int(text)) if command == "on_term" else Exit(signal=_SIGTERM))


def _end(command: str, words: list[str]) -> NoReturn:
    text = " ".join(words)
    match command:
        case "exit":
            raise _Ended(Exit(exit_code=int(text)))
        case "signal":
            raise _Ended(Exit(signal=int(text)))
        case "limit":
            raise _Ended(Exit(reason=Reason(words[0]), message=" ".join(words[1:])))
        case "fault":
            raise BackendFaultError(text)
        case _:
            raise RuntimeError(text)


async def _print(text: str, _spec: Spec, sink: OutputSink) -> None:
    await sink("stdout", text.encode() + b"\n")


async def _error(text: str, _spec: Spec, sink: OutputSink) -> None:
    await sink("stderr", text.encode() + b"\n")


async def _write(text: str, _spec: Spec, sink: OutputSink) -> None:
    await sink("stdout", bytes.fromhex(text))


async def _stdin(_text: str, spec: Spec, sink: OutputSink) -> None:
    await sink("stdout", spec.stdin.encode())


async def _args(_text: str, spec: Spec, sink: OutputSink) -> None:
    for argument in spec.args:
        await sink("stdout", argument.encode() + b"\n")


async def _env(text: str, spec: Spec, sink: OutputSink) -> None:
    await sink("stdout", spec.env.get(text, "").encode() + b"\n")


async def _count(text: str, _spec: Spec, sink: OutputSink) -> None:
    total = int(text)
    for start in range(1, total + 1, 1000):
        stop = min(start + 1000, total + 1)
        await sink("stdout", b"".join(b"%d\n" % number for number in range(start, stop)))


_OUTPUT: Final = {
    "print": _print, "error": _error, "write": _write, "stdin": _stdin, "args": _args, "env": _env, "count": _count,
}  # fmt: skip


def parse(text: str, folder: Path) -> Script:
    """The script in this text; files that it includes lie in `folder`.

    Raises:
        RunRefusedError: it is not one (`invalid_source`).
    """
    return Script(_commands(text, folder, depth=0))


def _commands(text: str, folder: Path, depth: int) -> list[list[str]]:
    commands: list[list[str]] = []
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            words = shlex.split(line, comments=True)
        except ValueError as error:
            _refuse(f"line {number}: {error}")
        if not words:
            continue
        low, high = _ARITY.get(words[0], (0, -1))
        if not low <= len(words) - 1 <= high:
            _refuse(f"line {number}: {line.strip()!a} is no command")
        if words[0] == "include":
            if depth or path_problem(words[1]) is not None or not (folder / words[1]).is_file():
                _refuse(f"line {number}: cannot include {words[1]!a}")
            commands += _commands((folder / words[1]).read_text(), folder, depth + 1)
        else:
            commands.append(words)
    return commands


def _refuse(message: str) -> NoReturn:
    raise RunRefusedError(Reason.INVALID_SOURCE, message)
