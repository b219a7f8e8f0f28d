"""The rules of a spec that span fields or that a type cannot say."""

from collections.abc import Iterator
from typing import Final

import msgspec

from vulcan_contracts.egress import parse_rule
from vulcan_contracts.paths import path_problem, suffix
from vulcan_contracts.problem import FieldError
from vulcan_contracts.reasons import Reason
from vulcan_contracts.spec import ArchiveSource, FilesSource, ImageSource, InlineSource, Runtime, Spec

RUNTIME_BY_SUFFIX: Final[dict[str, Runtime]] = {
    ".js": "javascript",
    ".mjs": "javascript",
    ".jsx": "javascript",
    ".ts": "typescript",
    ".mts": "typescript",
    ".tsx": "typescript",
    ".py": "python",
    ".cjs": "node",
    ".go": "go",
    ".sh": "shell",
}
_NEVER_RETRIED: Final = (Reason.KILLED_BY_USER, Reason.QUEUE_EXPIRED, Reason.BACKEND_UNAVAILABLE)


def complete(spec: Spec) -> Spec:
    """The spec with its runtime filled in from the entrypoint's ending, where it was left out and can be told."""
    if spec.runtime is None and isinstance(spec.source, FilesSource | ArchiveSource):
        runtime = RUNTIME_BY_SUFFIX.get(suffix(spec.source.entrypoint))
        if runtime is not None:
            return msgspec.structs.replace(spec, runtime=runtime)
    return spec


def problems(spec: Spec) -> list[FieldError]:
    """Everything that is wrong with a completed spec, a message for each field; empty if it may run."""
    return [*_source(spec), *_runtime(spec), *_text(spec), *_network(spec), *_retry(spec), *_artifacts(spec)]


def _source(spec: Spec) -> Iterator[FieldError]:
    source = spec.source
    if isinstance(source, FilesSource):
        for path in source.files:
            if (wrong := path_problem(path)) is not None:
                yield FieldError(field=f"source.files[{path}]", message=wrong)
        yield from _clashes(source)
        if source.entrypoint not in source.files:
            yield FieldError(field="source.entrypoint", message=f"{source.entrypoint} is not among the files")
    if isinstance(source, ArchiveSource) and (wrong := path_problem(source.entrypoint)) is not None:
        yield FieldError(field="source.entrypoint", message=wrong)
    if isinstance(source, ImageSource) and any(c.isspace() or not c.isprintable() for c in source.image):
        yield FieldError(field="source.image", message="is not an image reference; write registry/name:tag")


def _clashes(source: FilesSource) -> Iterator[FieldError]:
    folders = {path[:at] for path in source.files for at in range(len(path)) if path[at] == "/"}
    for path in sorted(folders & source.files.keys()):
        yield FieldError(field=f"source.files[{path}]", message="is a file and a folder of another file at once")


def _runtime(spec: Spec) -> Iterator[FieldError]:
    if isinstance(spec.source, ImageSource):
        if spec.isolation == "v8":
            yield FieldError(field="isolation", message="v8 cannot run an OCI image; use gvisor, microvm or auto")
        return
    if spec.runtime is None:
        what = "inline code" if isinstance(spec.source, InlineSource) else "this entrypoint's ending"
        yield FieldError(field="runtime", message=f"is needed: {what} does not say which language it is in")
    elif spec.isolation == "v8" and spec.runtime not in ("javascript", "typescript"):
        yield FieldError(field="isolation", message=f"v8 runs javascript and typescript, not {spec.runtime}")


def _text(spec: Spec) -> Iterator[FieldError]:
    total = sum(len(name) + len(value) for name, value in spec.env.items()) + sum(map(len, spec.args))
    if total > 131_072:
        yield FieldError(field="env", message="env and args together are longer than 131072 characters")


def _network(spec: Spec) -> Iterator[FieldError]:
    network = spec.network
    if network.allow and network.egress != "allow_list":
        yield FieldError(field="network.allow", message="goes with egress allow_list only")
    if network.egress == "allow_list" and not network.allow:
        yield FieldError(field="network.allow", message="is empty; name what may be reached, or use egress none")
    for index, rule in enumerate(network.allow):
        try:
            parse_rule(rule)
        except ValueError as error:
            yield FieldError(field=f"network.allow[{index}]", message=str(error))


def _retry(spec: Spec) -> Iterator[FieldError]:
    for index, reason in enumerate(spec.retry.on):
        if reason in _NEVER_RETRIED:
            yield FieldError(field=f"retry.on[{index}]", message=f"{reason} is never retried")


def _artifacts(spec: Spec) -> Iterator[FieldError]:
    for index, pattern in enumerate(spec.artifacts):
        if (wrong := path_problem(pattern)) is not None:
            yield FieldError(field=f"artifacts[{index}]", message=wrong)
