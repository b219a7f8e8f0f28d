"""The entry point: parses, runs, and turns every expected failure into a message and an exit code."""

import io
import os
import signal
import sys
import traceback
from types import FrameType, TracebackType
from typing import Final

STDIN_WORD: Final = "\x00-"
"""Stands for a lone `-` while the parser looks on, which would take it for an option. No real argument holds a NUL."""


def main() -> None:
    """The `vulcan` command."""
    # httpx's own command line would be imported with it, and click, rich and pygments with that: 0.4 s.
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # None is how Python spells "not importable"
    _prepare_streams()
    sys.excepthook = _crash
    signal.signal(signal.SIGTERM, _terminate)
    sys.exit(run(sys.argv[1:]))


def _prepare_streams() -> None:
    """What programs print is UTF-8, in any locale; a stream that the caller closed takes all and keeps nothing."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123 - for as long as we live
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def run(argv: list[str]) -> int:
    """Run one command line; the exit code."""
    if argv == ["--version"]:
        from importlib.metadata import version

        print(f"vulcan {version('vulcan-cli')}")
        return 0
    from vulcan_cli import exits
    from vulcan_cli.errors import Terminated

    try:
        code = _dispatch(argv)
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_output()
        return exits.BROKEN_PIPE
    except Terminated:
        return exits.TERMINATED
    except KeyboardInterrupt:
        return exits.INTERRUPTED
    return code


def _dispatch(argv: list[str]) -> int:
    from cyclopts import CycloptsError

    from vulcan_cli import exits
    from vulcan_cli.app import app
    from vulcan_cli.errors import UsageError, report
    from vulcan_sdk.errors import VulcanError

    words = argv[: argv.index("--")] if "--" in argv else argv
    as_json = "--json" in words
    shielded = [STDIN_WORD if word == "-" else word for word in words] + argv[len(words) :]
    try:
        code = app(shielded)
    except CycloptsError as error:
        report(UsageError(str(error), hint="See `vulcan --help` and `vulcan COMMAND --help`."), as_json=as_json)
        return exits.USAGE
    except UsageError as error:
        report(error, as_json=as_json)
        return exits.USAGE
    except VulcanError as error:
        report(error, as_json=as_json)
        return exits.FAILURE
    return code if isinstance(code, int) else exits.OK


def _drop_output() -> None:
    """Nobody reads on: keep the interpreter from writing the rest at exit and failing over it."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(devnull, stream.fileno())
    os.close(devnull)


def _terminate(number: int, frame: FrameType | None) -> None:
    del number, frame
    from vulcan_cli.errors import Terminated

    raise Terminated


def _crash(kind: type[BaseException], error: BaseException, tb: TracebackType | None) -> None:
    """A defect of this command: say where, and keep the exit code apart from any workload's."""
    traceback.print_exception(kind, error, tb)
    print("vulcan: this is a defect of the command itself", file=sys.stderr, flush=True)
    os._exit(125)
