"""Ids, subjects, paths, egress rules, keys: what is made of strings that came from outside, or goes into names."""

import ipaddress
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vulcan_contracts import ids, subjects
from vulcan_contracts.egress import EgressRule, parse_rule
from vulcan_contracts.logs import clean_text
from vulcan_contracts.paths import path_problem
from vulcan_contracts.tenants import new_token, token_id, token_sha256


def test_new_ids_are_valid_different_and_sortable() -> None:
    made = [ids.new_workload_id() for _ in range(200)]
    assert len(set(made)) == 200
    assert all(ids.WORKLOAD_ID.fullmatch(each) for each in made)
    assert ids.ulid()[:10] >= made[0][3:13]


@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=20), st.text(max_size=20))
def test_an_idempotency_key_names_one_workload_of_one_tenant(a: str, key: str, b: str, other: str) -> None:
    found = ids.idempotent_workload_id(a, key)
    assert ids.WORKLOAD_ID.fullmatch(found)
    assert found == ids.idempotent_workload_id(a, key)
    if "\x00" not in a + b:  # a tenant's id holds none
        assert (found == ids.idempotent_workload_id(b, other)) == ((a, key) == (b, other))


@given(st.from_regex(ids.TENANT_ID, fullmatch=True), st.from_regex(ids.WORKLOAD_ID, fullmatch=True))
def test_event_subjects_have_a_token_for_each_part(tenant: str, workload_id: str) -> None:
    subject = subjects.event(tenant, workload_id, "started")
    assert subject.split(".") == ["evt", tenant, "workload", workload_id, "started"]
    assert subject.count(".") == 4
    assert not {"*", ">", " "} & set(subject)


@pytest.mark.parametrize("good", ["a", "a/b.txt", "ä/ö", "..a", "a..", "a b", ".hidden", "*.png", "out/**/x"])
def test_safe_paths(good: str) -> None:
    assert path_problem(good) is None


@pytest.mark.parametrize(
    "bad", ["", "/a", "..", "a/../b", "a//b", "./a", "a/.", "a/", "a\\b", "a\x00b", "a\nb", "x/" * 40 + "x", "é" * 200]
)
def test_unsafe_paths(bad: str) -> None:
    assert path_problem(bad) is not None


@given(st.text(max_size=40))
def test_a_path_without_a_problem_stays_inside(path: str) -> None:
    if path_problem(path) is None:
        joined = PurePosixPath("/work") / path
        assert joined.is_relative_to("/work")
        assert ".." not in joined.parts
        assert str(joined) == f"/work/{path}"


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("api.Example.com:443", EgressRule(host="api.example.com", port=443)),
        ("*.example.com", EgressRule(host="*.example.com")),
        ("localhost", EgressRule(host="localhost")),
        ("192.0.2.7", EgressRule(network=ipaddress.ip_network("192.0.2.7/32"))),
        ("192.0.2.7/24:80", EgressRule(network=ipaddress.ip_network("192.0.2.0/24"), port=80)),
        ("2001:db8::/32", EgressRule(network=ipaddress.ip_network("2001:db8::/32"))),
        ("[2001:db8::1]:53", EgressRule(network=ipaddress.ip_network("2001:db8::1/128"), port=53)),
    ],
)
def test_egress_rules(text: str, rule: EgressRule) -> None:
    assert parse_rule(text) == rule


@pytest.mark.parametrize(
    "wrong",
    [
        "", "*", "*.", "a..b", "-a.com", "http://x", "x/y", "x:0", "x:65536", "x:", "x:y", "x:٣", "999.1.1.1", "1.2.3",
        "[::1", "[::1]x", "a b", "x\n", "10.0.0.0/99", "a" * 64 + ".com",
    ],
)  # fmt: skip
def test_no_egress_rules(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"is not|has a"):
        parse_rule(wrong)


@given(st.text(max_size=30))
def test_any_text_is_a_rule_or_refused(text: str) -> None:
    try:
        rule = parse_rule(text)
    except ValueError:
        return
    assert (rule.host is None) != (rule.network is None)
    assert rule.port is None or 1 <= rule.port <= 65_535


def test_tokens_name_their_key_and_nothing_else() -> None:
    token = new_token()
    found = token_id(token)
    assert found is not None
    assert found in token
    assert len(token_sha256(token)) == 64
    for wrong in ("", token[:-1], token + "x", token.upper(), f" {token}", f"{token}\n"):
        assert token_id(wrong) is None


@given(st.binary(max_size=60))
def test_clean_text_is_text_that_every_store_takes(raw: bytes) -> None:
    text = clean_text(raw)
    assert "\x00" not in text
    assert text.encode("utf-8").decode("utf-8") == text
