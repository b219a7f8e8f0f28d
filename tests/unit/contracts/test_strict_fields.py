from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vulcan_contracts.spec import Spec
from vulcan_contracts.strict import unknown_fields

VALID: dict[str, Any] = {
    "source": {"type": "files", "files": {"a.js": "1"}, "entrypoint": "a.js"},
    "resources": {"cpus": 1, "cpu_time_s": None},
    "network": {"egress": "allow_list", "allow": ["x"]},
    "input": {"anything": {"goes": [1]}},
    "labels": {"team": "x"},
    "retry": {"max_attempts": 2},
}


def unknown(value: Any) -> list[tuple[str, str]]:
    msgspec.convert(value, Spec)  # decoding itself is tolerant
    return [(error.field, error.message) for error in unknown_fields(value, Spec)]


def test_a_valid_spec_has_none() -> None:
    assert unknown(VALID) == []


@pytest.mark.parametrize(
    ("change", "field", "advice"),
    [
        ({"timeout": 3}, "timeout", "did you mean timeout_s?"),
        ({"resources": {"memory": 3}}, "resources.memory", "did you mean memory_mb?"),
        ({"source": {"type": "inline", "code": "1", "codes": "2"}}, "source.codes", "did you mean code?"),
        ({"source": {"type": "inline", "code": "1", "entrypoint": "x"}}, "source.entrypoint", "known here: code, type"),
        ({"zzz": 1}, "zzz", "known here: args"),
    ],
)
def test_names_the_field_and_the_nearest(change: dict[str, Any], field: str, advice: str) -> None:
    ((found, message),) = unknown({**VALID, **change})
    assert found == field
    assert advice in message


@given(
    where=st.sampled_from(["", "resources", "network", "retry", "source"]),
    name=st.text(min_size=1, max_size=12).filter(
        lambda name: name not in {field for kind in [Spec] for field in kind.__struct_fields__}
    ),
)
def test_every_stranger_is_found_wherever_it_stands(where: str, name: str) -> None:
    value = msgspec.json.decode(msgspec.json.encode(VALID))
    inner = value[where] if where else value
    if name in {"type", *inner} or name in msgspec.json.schema(Spec).__repr__():
        return
    inner[name] = 1
    assert [field for field, _ in unknown(value)] == [f"{where}.{name}" if where else name]


def test_lists_and_dicts_of_structs_are_walked() -> None:
    class Item(msgspec.Struct):
        a: int = 0

    class Box(msgspec.Struct):
        items: list[Item] = []
        named: dict[str, Item] = {}
        maybe: Item | None = None

    value = {"items": [{"a": 1}, {"b": 1}], "named": {"x": {"c": 1}}, "maybe": {"d": 1}}
    assert [error.field for error in unknown_fields(value, Box)] == ["items[1].b", "named[x].c", "maybe.d"]
