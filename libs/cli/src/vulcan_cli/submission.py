"""From the options of `vulcan run` to a spec and the archive that goes with it."""

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
from cyclopts import Group, Parameter

from vulcan_cli.errors import UsageError
from vulcan_cli.main import STDIN_WORD
from vulcan_cli.text import duration_s, environment, memory_mb, pairs
from vulcan_contracts.spec import ImageSource, Isolation, Network, Resources, Retry, Runtime, Spec

if TYPE_CHECKING:
    from vulcan_sdk.work import Work

_WHAT: Final = Group("What to run", sort_key=1)
_LIMITS: Final = Group("Limits", sort_key=2)
_HOW: Final = Group("How", sort_key=3)
_MAX_STDIN_BYTES: Final = 8 * 1024 * 1024


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class SpecOptions:
    """What `vulcan run` can be told about a run."""

    code: Annotated[str | None, Parameter(name=["-e", "--eval"], allow_leading_hyphen=True, group=_WHAT)] = None
    """Code to run, in place of a file."""

    image: Annotated[str | None, Parameter(group=_WHAT)] = None
    """An OCI image to run; the words are its command."""

    runtime: Annotated[Runtime | None, Parameter(group=_WHAT)] = None
    """The language; without it, told from the file's ending."""

    entrypoint: Annotated[str | None, Parameter(group=_WHAT)] = None
    """The file to start in a folder or archive; without it `main.*`, `index.*` or the only one."""

    stdin: Annotated[str | None, Parameter(group=_WHAT, allow_leading_hyphen=True, metavar="FILE|-")] = None
    """A file to give as standard input; `-`: this command's own."""

    input: Annotated[str | None, Parameter(group=_WHAT, allow_leading_hyphen=True, metavar="JSON")] = None
    """The value for a default-exported function; `@FILE` reads it from a file."""

    env: Annotated[list[str], Parameter(group=_WHAT, metavar="K[=V]")] = field(default_factory=list)
    """A variable; without a value, the one it has here. May be repeated."""

    timeout: Annotated[str | None, Parameter(group=_LIMITS, metavar="TIME")] = None
    """How long it may run, as in 30, 30s, 5m (default 30s)."""

    memory: Annotated[str | None, Parameter(name=["--memory", "-m"], group=_LIMITS, metavar="SIZE")] = None
    """Memory, as in 256, 256m, 1g (default 128m)."""

    cpus: Annotated[float | None, Parameter(group=_LIMITS)] = None
    """CPU cores (default 1)."""

    egress: Annotated[list[str], Parameter(group=_LIMITS, metavar="none|all|HOST")] = field(default_factory=list)
    """Where it may connect to: none (the default), all, or hosts, `*.host`, addresses, CIDRs with an optional :port."""

    retries: Annotated[int, Parameter(group=_HOW)] = 0
    """How often to try again after a fault of the platform."""

    priority: Annotated[int, Parameter(group=_HOW, allow_leading_hyphen=True)] = 0
    """From -100 to 100; higher goes first."""

    queue_ttl: Annotated[str | None, Parameter(group=_HOW, metavar="TIME")] = None
    """How long it may wait for its turn (default 1h)."""

    isolation: Annotated[Isolation, Parameter(group=_HOW)] = "auto"
    """Where to run it."""

    label: Annotated[list[str], Parameter(group=_HOW, metavar="K=V")] = field(default_factory=list)
    """A label to find it by. May be repeated."""

    artifact: Annotated[list[str], Parameter(group=_HOW, metavar="PATTERN")] = field(default_factory=list)
    """Files to keep after the end, as in `out/*.png`. May be repeated."""


def submission(words: tuple[str, ...], options: SpecOptions) -> "Work":
    """What to submit.

    Raises:
        UsageError: the options do not go together.
        SourceError: what they name cannot be submitted.
    """
    from vulcan_sdk.source import from_code, from_path
    from vulcan_sdk.work import Work

    words = tuple("-" if word == STDIN_WORD else word for word in words)
    code_on_stdin = words[:1] == ("-",) and options.code is None and options.image is None
    if code_on_stdin and options.stdin is not None and _is_stdin(options.stdin):
        raise UsageError("stdin cannot be both the code and the input")
    fields = _fields(options)
    if options.image is not None:
        if options.code is not None or options.entrypoint is not None:
            raise UsageError("--image does not go with -e or --entrypoint")
        return Work(spec=Spec(source=ImageSource(image=options.image, command=list(words)), **fields))
    if options.code is not None:
        return from_code(options.code, runtime=options.runtime, args=list(words), **fields)
    if not words:
        raise UsageError(
            "there is nothing to run", hint="Name a file, a folder or an archive, `-` for stdin, or give code with -e."
        )
    what, *args = words
    if code_on_stdin:
        return from_code(_read_stdin(), runtime=options.runtime, args=args, **fields)
    return from_path(what, entrypoint=options.entrypoint, runtime=options.runtime, args=args, **fields)


def _fields(options: SpecOptions) -> dict[str, Any]:
    """The fields of the spec that were asked for; the others keep the server's defaults."""
    fields: dict[str, Any] = {
        "isolation": options.isolation,
        "stdin": _stdin(options.stdin),
        "input": _input(options.input),
        "env": environment(options.env, os.environ),
        "resources": _resources(options),
        "network": _network(options.egress),
        "retry": Retry(max_attempts=options.retries + 1),
        "priority": options.priority,
        "labels": pairs(options.label, "--label"),
        "artifacts": list(options.artifact),
    }
    if options.timeout is not None:
        fields["timeout_s"] = duration_s(options.timeout, "--timeout")
    if options.queue_ttl is not None:
        fields["queue_ttl_s"] = duration_s(options.queue_ttl, "--queue-ttl")
    return fields


def _resources(options: SpecOptions) -> Resources:
    given: dict[str, Any] = {}
    if options.cpus is not None:
        given["cpus"] = options.cpus
    if options.memory is not None:
        given["memory_mb"] = memory_mb(options.memory, "--memory")
    return Resources(**given)


def _network(egress: list[str]) -> Network:
    rules = [rule for entry in egress for rule in entry.split(",") if rule]
    modes = [rule for rule in rules if rule in ("none", "all")]
    if modes and len(rules) > 1:
        raise UsageError(f"--egress {modes[0]} stands alone")
    if modes:
        return Network(egress="all" if modes[0] == "all" else "none")
    return Network(egress="allow_list", allow=rules) if rules else Network()


def _is_stdin(name: str) -> bool:
    return name in ("-", STDIN_WORD)


def _stdin(name: str | None) -> str:
    if name is None:
        return ""
    return _read_stdin() if _is_stdin(name) else _read_text(name, "--stdin")


def _input(text: str | None) -> Any:
    if text is None:
        return None
    if text.startswith("@"):
        text = _read_text(text[1:], "--input")
    try:
        return msgspec.json.decode(text.encode("utf-8", "surrogateescape"))
    except msgspec.DecodeError as error:
        raise UsageError(
            f"--input is not JSON: {error}", hint="""Quote it for the shell, as in --input '{"n": 1}'."""
        ) from error


def _read_stdin() -> str:
    if sys.stdin is None:
        raise UsageError("stdin is closed")
    return _decoded(sys.stdin.buffer.read(_MAX_STDIN_BYTES + 1), "stdin")


def _read_text(name: str, option: str) -> str:
    try:
        with Path(name).open("rb") as file:
            return _decoded(file.read(_MAX_STDIN_BYTES + 1), name)
    except OSError as error:
        raise UsageError(f"{option} {name}: {error.strerror}") from error


def _decoded(raw: bytes, name: str) -> str:
    if len(raw) > _MAX_STDIN_BYTES:
        raise UsageError(f"{name} is larger than {_MAX_STDIN_BYTES // (1024 * 1024)} MiB")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{name} is not UTF-8 text", hint="Encode it, as with base64.") from error
