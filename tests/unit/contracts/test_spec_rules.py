from typing import Any

import msgspec
import pytest

from vulcan_contracts.reasons import Reason
from vulcan_contracts.spec import (
    ArchiveSource,
    FilesSource,
    ImageSource,
    InlineSource,
    Network,
    Retry,
    Spec,
)
from vulcan_contracts.validation import complete, problems


def spec(**changes: Any) -> Spec:
    changes.setdefault("source", InlineSource(code="1"))
    changes.setdefault("runtime", "javascript")
    return Spec(**changes)


def fields(found: Spec) -> list[str]:
    return [error.field for error in problems(found)]


@pytest.mark.parametrize(
    "good",
    [
        spec(),
        spec(isolation="v8", runtime="typescript"),
        spec(isolation="gvisor", runtime="python"),
        spec(source=ImageSource(image="docker.io/library/busybox:1.36@sha256:ab"), runtime=None),
        spec(source=FilesSource(files={"a/b.js": "1", "c.js": ""}, entrypoint="a/b.js")),
        spec(source=ArchiveSource(entrypoint="src/main.ts"), runtime="typescript"),
        spec(network=Network(egress="allow_list", allow=["*.example.com:443", "10.0.0.0/8", "[2001:db8::1]:53"])),
        spec(artifacts=["out/*.png", "report.json"]),
    ],
)
def test_nothing_is_wrong_with(good: Spec) -> None:
    assert problems(good) == []


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        (spec(runtime=None), "runtime"),
        (spec(isolation="v8", runtime="python"), "isolation"),
        (spec(isolation="v8", source=ImageSource(image="x"), runtime=None), "isolation"),
        (spec(source=ImageSource(image="x y"), runtime=None), "source.image"),
        (spec(source=ImageSource(image="x\n"), runtime=None), "source.image"),
        (spec(source=FilesSource(files={"../a.js": "1"}, entrypoint="../a.js")), "source.files[../a.js]"),
        (spec(source=FilesSource(files={"a.js": "1"}, entrypoint="b.js")), "source.entrypoint"),
        (spec(source=FilesSource(files={"a": "1", "a/b.js": "1"}, entrypoint="a")), "source.files[a]"),
        (spec(source=ArchiveSource(entrypoint="/etc/passwd")), "source.entrypoint"),
        (spec(env={f"A{number}": "x" * 32_000 for number in range(5)}), "env"),
        (spec(network=Network(egress="none", allow=["x"])), "network.allow"),
        (spec(network=Network(egress="allow_list")), "network.allow"),
        (spec(network=Network(egress="allow_list", allow=["ok.example", "http://x"])), "network.allow[1]"),
        (spec(retry=Retry(on=[Reason.EXIT_NONZERO, Reason.KILLED_BY_USER])), "retry.on[1]"),
        (spec(artifacts=["ok", "../x"]), "artifacts[1]"),
    ],
)
def test_names_the_field(bad: Spec, field: str) -> None:
    assert fields(bad) == [field]


@pytest.mark.parametrize(
    ("entrypoint", "runtime"),
    [
        ("a.js", "javascript"),
        ("a.MTS", "typescript"),
        ("x/a.py", "python"),
        ("a.cjs", "node"),
        ("a.go", "go"),
        ("a", None),
    ],
)
def test_the_runtime_is_told_by_the_ending(entrypoint: str, runtime: str | None) -> None:
    found = complete(spec(runtime=None, source=ArchiveSource(entrypoint=entrypoint)))
    assert found.runtime == runtime
    assert complete(spec(runtime="shell", source=ArchiveSource(entrypoint=entrypoint))).runtime == "shell"


@pytest.mark.parametrize(
    "wrong",
    [
        {"timeout_s": -1},
        {"timeout_s": 1e9},
        {"priority": 101},
        {"resources": {"memory_mb": 10**12}},
        {"resources": {"cpus": 0}},
        {"resources": {"pids": "many"}},
        {"env": {"1A": "x"}},
        {"env": {"A": "x\x00"}},
        {"labels": {"": "x"}},
        {"labels": {"a": "x\n"}},
        {"retry": {"max_attempts": 0}},
        {"retry": {"on": ["bad_luck"]}},
        {"source": {"type": "inline", "code": ""}},
        {"source": {"type": "magic"}},
        {"isolation": "none"},
    ],
)
def test_limits_are_in_the_types(wrong: dict[str, Any]) -> None:
    value = {"source": {"type": "inline", "code": "1"}, **wrong}
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(value, Spec)


def test_the_cpu_time_limit_follows_the_timeout() -> None:
    assert spec(timeout_s=10).cpu_time_limit_s == 10
    found = msgspec.convert(
        {"source": {"type": "inline", "code": "1"}, "timeout_s": 10, "resources": {"cpus": 4}}, Spec
    )
    assert found.cpu_time_limit_s == 40
