"""What a user asks to run: accepted by the API, stored in the event log and given to an executor in this one form.

Decoding is tolerant of fields it does not know, so that services of two releases can share a log;
the API refuses unknown fields with `strict.unknown_fields`. Rules that span fields are in `validation`.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from vulcan_contracts.reasons import Reason

Isolation = Literal["auto", "v8", "gvisor", "microvm"]
"""What a user may ask for."""

Backend = Literal["v8", "gvisor", "microvm"]
"""What a node can offer."""

Runtime = Literal["javascript", "typescript", "python", "node", "go", "shell"]

# `$(?!\n)`: Python's `$` alone would let a line end through at the very end.
EnvName = Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$(?!\n)")]
EnvValue = Annotated[str, Meta(max_length=32_768, pattern=r"^[^\x00]*$")]
Argument = Annotated[str, Meta(max_length=32_768, pattern=r"^[^\x00]*$")]
LabelName = Annotated[str, Meta(pattern=r"^[a-zA-Z0-9]([a-zA-Z0-9._/-]{0,61}[a-zA-Z0-9])?$(?!\n)")]
LabelValue = Annotated[str, Meta(max_length=256, pattern=r"^[^\x00-\x1f\x7f]*$(?!\n)")]
RelativePath = Annotated[str, Meta(min_length=1, max_length=512)]


class InlineSource(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="inline"):
    """One file of code, given as text."""

    code: Annotated[str, Meta(min_length=1, max_length=700_000)]


class FilesSource(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="files"):
    """Several text files by relative path, and the one that starts."""

    files: Annotated[dict[RelativePath, str], Meta(min_length=1, max_length=256)]
    entrypoint: RelativePath


class ArchiveSource(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="archive"):
    """A tar.gz or zip, uploaded beside the spec. The gateway fills in `sha256`, `size_bytes` and `format`."""

    entrypoint: RelativePath
    sha256: Annotated[str, Meta(pattern=r"^([0-9a-f]{64})?$(?!\n)")] = ""
    size_bytes: Annotated[int, Meta(ge=0)] = 0
    format: Literal["", "tar.gz", "zip"] = ""


class ImageSource(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="image"):
    """An OCI image by reference, and optionally the command that replaces its own."""

    image: Annotated[str, Meta(min_length=1, max_length=512)]
    command: Annotated[list[Argument], Meta(max_length=1024)] = []


Source = InlineSource | FilesSource | ArchiveSource | ImageSource


class Resources(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a run may use at most. `cpus` are cores; `cpu_time_s` None means timeout_s times cpus."""

    cpus: Annotated[float, Meta(ge=0.05, le=64)] = 1.0
    memory_mb: Annotated[int, Meta(ge=16, le=262_144)] = 128
    disk_mb: Annotated[int, Meta(ge=1, le=1_048_576)] = 256
    pids: Annotated[int, Meta(ge=1, le=32_768)] = 64
    output_mb: Annotated[int, Meta(ge=1, le=1024)] = 16
    cpu_time_s: Annotated[float, Meta(gt=0, le=86_400 * 64)] | None = None


class Network(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a run may connect to. `allow` holds `host`, `*.host`, address or CIDR, each with an optional `:port`."""

    egress: Literal["none", "allow_list", "all"] = "none"
    allow: Annotated[list[Annotated[str, Meta(min_length=1, max_length=256)]], Meta(max_length=64)] = []


class Retry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """When to try again: at most `max_attempts` in all, for the reasons in `on`, `backoff_s` after each failure."""

    max_attempts: Annotated[int, Meta(ge=1, le=10)] = 1
    on: list[Reason] = field(default_factory=lambda: [Reason.EXECUTOR_LOST, Reason.BACKEND_ERROR])
    backoff_s: Annotated[float, Meta(ge=0, le=3600)] = 0.0


class Spec(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One workload as submitted."""

    source: Source
    isolation: Isolation = "auto"
    runtime: Runtime | None = None
    stdin: str = ""
    input: Any = None
    """The JSON value that a default-exported function receives; without it, the function receives stdin."""
    args: Annotated[list[Argument], Meta(max_length=256)] = []
    env: Annotated[dict[EnvName, EnvValue], Meta(max_length=256)] = {}
    resources: Resources = Resources()
    timeout_s: Annotated[float, Meta(ge=0.1, le=86_400)] = 30.0
    grace_s: Annotated[float, Meta(ge=0, le=60)] = 2.0
    queue_ttl_s: Annotated[float, Meta(ge=1, le=604_800)] = 3600.0
    network: Network = Network()
    retry: Retry = Retry()
    priority: Annotated[int, Meta(ge=-100, le=100)] = 0
    labels: Annotated[dict[LabelName, LabelValue], Meta(max_length=32)] = {}
    artifacts: Annotated[list[RelativePath], Meta(max_length=64)] = []

    @property
    def cpu_time_limit_s(self) -> float:
        """The CPU seconds after which a run ends with `cpu_limit`."""
        if self.resources.cpu_time_s is not None:
            return self.resources.cpu_time_s
        return self.timeout_s * max(1.0, self.resources.cpus)
