"""Reading requests: bodies, parameters, cursors, keys, headers."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, Struct

from vulcan_contracts.ids import new_workload_id
from vulcan_contracts.spec import Spec
from vulcan_contracts.views import KeyRequest
from vulcan_gateway.domain import bodies, idempotency, parameters
from vulcan_gateway.domain.choices import choices
from vulcan_gateway.domain.cursors import ListCursor, decode_list_cursor, decode_seq, encode_list_cursor
from vulcan_gateway.domain.filters import LabelFilter, ListQuery, label_filters
from vulcan_gateway.domain.headers import attachment, media_type, safe_media_type, wants_event_stream
from vulcan_gateway.domain.refusals import Refusal
from vulcan_gateway.http.calls import NoQuery

INLINE = {"source": {"type": "inline", "code": "1"}, "runtime": "javascript"}


def refusal(call: Any, *args: Any, **kwargs: Any) -> Refusal:
    with pytest.raises(Refusal) as caught:
        call(*args, **kwargs)
    return caught.value


def test_malformed_json_says_where() -> None:
    refused = refusal(bodies.decode, b'{"a": 1,}', Spec)
    assert (refused.status, refused.code) == (400, "malformed_json")
    assert "byte 8" in refused.detail


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_or_read(body: bytes) -> None:
    try:
        bodies.decode(body, Spec, code="invalid_spec")
    except Refusal as refused:
        assert refused.status in (400, 422)  # noqa: PT017 - either is right, another exception is not


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from([field.name for field in msgspec.structs.fields(Spec)]), JSON_VALUES))
def test_any_json_is_refused_or_read(changes: dict[str, Any]) -> None:
    try:
        bodies.decode(msgspec.json.encode(INLINE | changes), Spec, code="invalid_spec")
    except Refusal as refused:
        assert (refused.code, len(refused.errors) > 0) == ("invalid_spec", True)  # noqa: PT017 - another is wrong


@pytest.mark.parametrize(
    ("message", "field", "said"),
    [
        ("Expected `int`, got `str` - at `$.resources.memory_mb`", "resources.memory_mb", "expected int, got str"),
        ("Object missing required field `source`", "source", "is required"),
        ("Object missing required field `type` - at `$.source`", "source.type", "is required"),
        ("Expected `str` matching regex 'x' - at `key` in `$.env`", "env", "expected str matching regex 'x' as a name"),
        ("Expected `object`, got `array`", "", "expected object, got array"),
    ],
)
def test_the_field_of_a_message(message: str, field: str, said: str) -> None:
    found = bodies.field_error(message, Spec)
    assert (found.field, found.message) == (field, said)


class Query(Struct, frozen=True, kw_only=True):
    limit: Annotated[int, Meta(ge=1, le=10)] = 5
    state: list[str] = []
    label: Annotated[list[str], Meta(max_length=2)] = []
    text: str | None = None
    tail: int | None = None


@pytest.mark.parametrize(
    ("declared", "path", "known"),
    [
        (KeyRequest, "role", ["admin", "reader", "writer"]),
        (Spec, "source.type", ["archive", "files", "image", "inline"]),
        (Spec, "network.egress", ["all", "allow_list", "none"]),
        (ListQuery, "state[0]", ["completed", "failed", "killed", "pending", "running"]),
        (ListQuery, "isolation", ["auto", "gvisor", "microvm", "v8"]),
        (Spec, "stdin", []),
        (Spec, "env[A].b", []),
    ],
)
def test_the_values_that_a_field_takes(declared: type, path: str, known: list[str]) -> None:
    assert choices(declared, path) == known


def test_a_refused_value_comes_with_the_known_ones() -> None:
    with pytest.raises(Refusal, match=r"'pyton'; known here: .*python"):
        bodies.decode(b'{"source": {"type": "inline", "code": "1"}, "runtime": "pyton"}', Spec)
    with pytest.raises(Refusal, match="'done'; known here: completed"):
        parameters.read([("state", "done")], ListQuery)


@pytest.mark.parametrize(
    "text", ["yesterday", "1700000000", "2026-01-01", "2026-01-01T09:00:00", "2026-01-01T09:00:00 01:00"]
)
def test_a_wrong_time_is_refused_with_a_right_one(text: str) -> None:
    with pytest.raises(Refusal, match="submitted_after: is not a time, as in 2026"):
        parameters.read([("submitted_after", text)], ListQuery)


def test_a_parameter_where_there_are_none() -> None:
    with pytest.raises(Refusal, match="key: unknown field; known here: none"):
        parameters.read([("key", "1")], NoQuery)


def test_parameters() -> None:
    assert parameters.read([], Query) == Query()
    given_ones = [("limit", "3"), ("state", "a"), ("state", "b"), ("label", "x"), ("text", "null")]
    assert parameters.read(given_ones, Query) == Query(limit=3, state=["a", "b"], label=["x"], text="null")


@pytest.mark.parametrize(
    ("pairs", "field"),
    [
        ([("limit", "0")], "limit"),
        ([("limit", "x")], "limit"),
        ([("limit", "1"), ("limit", "1")], "limit"),
        ([("limits", "1")], "limits"),
        ([("tail", "null")], "tail"),
        ([("tail", "")], "tail"),
        ([("label", "a")] * 3, "label"),
    ],
)
def test_wrong_parameters(pairs: list[tuple[str, str]], field: str) -> None:
    refused = refusal(parameters.read, pairs, Query)
    assert (refused.code, refused.errors[0].field) == ("invalid_parameter", field)


@given(st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(9000, 1, 1)))  # noqa: DTZ001 - hypothesis' way
def test_list_cursors_come_back(moment: datetime) -> None:
    cursor = ListCursor(moment.replace(tzinfo=UTC), new_workload_id())
    assert decode_list_cursor(encode_list_cursor(cursor)) == cursor


@given(st.text(max_size=120))
def test_any_other_cursor_is_refused(text: str) -> None:
    try:
        decode_list_cursor(text)
    except Refusal as refused:
        assert refused.code == "invalid_cursor"  # noqa: PT017 - another exception is wrong


@given(st.text(max_size=30))
def test_any_position_is_a_number_or_refused(text: str) -> None:
    try:
        assert 0 <= decode_seq(text) < 2**63
    except Refusal as refused:
        assert refused.code == "invalid_cursor"  # noqa: PT017 - another exception is wrong


def spec(**changes: Any) -> Spec:
    return msgspec.convert(INLINE | changes, Spec)


def test_a_fingerprint_is_of_what_is_asked() -> None:
    plain = idempotency.fingerprint(spec())
    defaults = {"timeout_s": 30, "retry": {"max_attempts": 1}, "resources": {}, "env": {}, "labels": {}, "input": None}
    assert idempotency.fingerprint(spec(**defaults)) == plain
    assert idempotency.fingerprint(spec(env={"A": "1", "B": "2"})) == idempotency.fingerprint(
        spec(env={"B": "2", "A": "1"})
    )
    others = [
        spec(priority=1),
        spec(timeout_s=31),
        spec(env={"A": "1"}),
        spec(input=0),
        spec(input=False),
        spec(source={"type": "inline", "code": "2"}),
        spec(source={"type": "files", "files": {"a.js": "1"}, "entrypoint": "a.js"}),
        spec(source={"type": "archive", "entrypoint": "a.js", "sha256": "0" * 64}),
        spec(source={"type": "archive", "entrypoint": "a.js", "sha256": "1" * 64}),
    ]
    assert len({plain, *map(idempotency.fingerprint, others)}) == len(others) + 1
    assert idempotency.fingerprint(spec(), "wl_x") != plain


def test_idempotency_keys_name_workloads() -> None:
    assert idempotency.workload_id("a", "k") == idempotency.workload_id("a", "k")
    assert idempotency.workload_id("a", "k") != idempotency.workload_id("b", "k")
    assert idempotency.workload_id("a", None) != idempotency.workload_id("a", None)
    for wrong in ("", " ", "a b", "x" * 256, "ü", "a\n"):
        assert refusal(idempotency.workload_id, "a", wrong).code == "invalid_idempotency_key"


def test_labels() -> None:
    assert label_filters(["a=b,c", "d=", "e=f=g"]) == [
        LabelFilter("a", "b"),
        LabelFilter("c", None),
        LabelFilter("d", ""),
        LabelFilter("e", "f=g"),
    ]
    for wrong in ([""], ["=x"], ["a,,b"], ["x" * 401], ["a=b"] * 33):
        assert refusal(label_filters, wrong).code == "invalid_parameter"


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("text/event-stream", True),
        ("application/json, Text/Event-Stream;q=0.9", True),
        ("text/event-stream;q=0", False),
        ("*/*", False),
        ("text/*", False),
        ("", False),
    ],
)
def test_who_wants_an_event_stream(accept: str, wanted: bool) -> None:
    assert wants_event_stream(accept) is wanted


@given(st.text(min_size=1, max_size=300))
def test_a_disposition_is_one_safe_header(name: str) -> None:
    header = attachment(name.replace("\ud800", ""))
    assert header.isascii()
    assert header.isprintable()
    assert header.count('"') == 2
    assert "/" not in header
    assert "\\" not in header


def test_media_types() -> None:
    assert media_type(" Application/JSON ; charset=utf-8") == "application/json"
    assert safe_media_type("image/png") == "image/png"
    for wrong in ("", "text/html\r\nX: y", "text", "a/b/c", "text/html; charset=x"):
        assert safe_media_type(wrong) == "application/octet-stream"


def test_a_far_future_cursor() -> None:
    late = ListCursor(datetime(9999, 12, 31, tzinfo=UTC) - timedelta(days=1), new_workload_id())
    assert decode_list_cursor(encode_list_cursor(late)) == late


@pytest.mark.parametrize(
    "changes",
    [
        {"env": {"A\n": "1"}},
        {"labels": {"a\n": "1"}},
        {"labels": {"a": "1\n"}},
        {"source": {"type": "archive", "entrypoint": "a.js", "sha256": "0" * 64 + "\n"}},
    ],
)
def test_a_line_end_behind_a_name_is_refused(changes: dict[str, Any]) -> None:
    assert refusal(bodies.decode, msgspec.json.encode(INLINE | changes), Spec, code="invalid_spec").status == 422
