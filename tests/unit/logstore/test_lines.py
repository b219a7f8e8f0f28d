"""Lines into rows: what text becomes, when it expires, how much goes into one transaction."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vulcan_contracts.logs import LogBatch, LogLine
from vulcan_contracts.tenants import Tenant
from vulcan_eventstore.records import StoredBatch
from vulcan_logstore.domain.lines import line_runs, split
from vulcan_logstore.domain.project import utc
from vulcan_logstore.domain.retention import longest_days, partition_day, partition_name, retention
from vulcan_logstore.domain.text import clean, clean_or_none

DAY = date(2026, 11, 20)
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def batch(*texts: str, tenant: str = "acme", time: datetime = NOON) -> LogBatch:
    lines = [LogLine(seq=seq, time=time, stream="stdout", text=text) for seq, text in enumerate(texts, start=1)]
    return LogBatch(workload_id="wl_1", tenant=tenant, attempt=1, lines=lines)


@given(st.text(st.characters(exclude_categories=())))
def test_clean_text_is_what_postgres_takes(text: str) -> None:
    cleaned = clean(text)
    assert "\x00" not in cleaned
    cleaned.encode()
    assert len(cleaned) == len(text)
    assert all(new in (old, "\ufffd") for old, new in zip(text, cleaned, strict=True))


def test_only_what_is_refused_is_replaced() -> None:
    assert clean("a\x00b") == "a\ufffdb"
    assert clean("\ud800x\udfff") == "\ufffdx\ufffd"
    assert clean("\x1b[0m\r\n\t ü \U0001f600 \uffff") == "\x1b[0m\r\n\t ü \U0001f600 \uffff"
    assert clean_or_none(None) is None


def test_rows_carry_the_day_on_which_they_expire() -> None:
    late = datetime(2026, 11, 20, 23, 30, tzinfo=timezone(timedelta(hours=-2)))
    runs = line_runs(
        [batch("a", "b\x00"), batch("c", tenant="brief", time=late)],
        retention_days=lambda tenant: 1 if tenant == "brief" else 30,
        today=DAY,
    )
    assert [(run.tenant, run.seqs, run.texts, run.expires_on) for run in runs] == [
        ("acme", [1, 2], ["a", "b\ufffd"], date(2026, 12, 20)),
        ("brief", [1], ["c"], date(2026, 11, 22)),
    ], "the day is that of UTC"


_MOMENTS = (NOON, NOON + timedelta(hours=13), NOON.replace(tzinfo=None), NOON.astimezone(timezone(timedelta(hours=2))))


@given(st.lists(st.builds(
    LogLine, seq=st.integers(1, 99), time=st.sampled_from(_MOMENTS), stream=st.sampled_from(("stdout", "stderr")),
    text=st.text(max_size=3), partial=st.booleans(),
)))  # fmt: skip
def test_runs_together_are_the_lines(lines: list[LogLine]) -> None:
    printed = LogBatch(workload_id="wl_1", tenant="acme", attempt=1, lines=lines)
    runs = line_runs([printed], retention_days=lambda _: 1, today=DAY)
    assert [
        (run.expires_on, run.time, run.stream, run.partial, seq, text)
        for run in runs
        for seq, text in zip(run.seqs, run.texts, strict=True)
    ] == [
        (
            utc(line.time).date() + timedelta(days=1),
            utc(line.time),
            line.stream,
            line.partial,
            line.seq,
            clean(line.text),
        )
        for line in lines
    ]


@pytest.mark.parametrize(("days", "kept"), [(0, 1), (1, 1)])
def test_a_line_stays_through_its_last_day(days: int, kept: int) -> None:
    today = DAY + timedelta(days=days)
    assert len(line_runs([batch("a")], retention_days=lambda _: days, today=today)) == kept
    assert line_runs([batch("a")], retention_days=lambda _: days, today=today + timedelta(days=1)) == []


@given(st.lists(st.lists(st.text(max_size=9), min_size=1, max_size=9)), st.integers(1, 20), st.integers(1, 40))
def test_parts_are_bounded_and_lose_nothing(texts: list[list[str]], max_lines: int, max_chars: int) -> None:
    stored = [StoredBatch(seq=seq, batch=batch(*lines)) for seq, lines in enumerate(texts)]
    parts = list(split(stored, max_lines=max_lines, max_chars=max_chars))
    assert [each for part in parts for each in part] == stored
    for part in parts:
        assert part
        lines = [line.text for each in part for line in each.batch.lines]
        assert len(part) == 1 or (len(lines) <= max_lines and sum(map(len, lines)) <= max_chars)


def test_a_tenants_own_days_else_the_default_within_bounds() -> None:
    tenants = {
        "own": Tenant(id="own", log_retention_days=7),
        "plain": Tenant(id="plain"),
        "greedy": Tenant(id="greedy", log_retention_days=365),
        "odd": Tenant(id="odd", log_retention_days=-3),
    }
    days = retention(tenants.get, default_days=14, max_days=30)
    assert [days(name) for name in ("own", "plain", "unknown", "greedy", "odd")] == [7, 14, 14, 30, 0]


@pytest.mark.parametrize(("age", "days"), [(31.0, 30), (31.9, 30), (1.0, 0), (0.5, 0)])
def test_what_a_rebuild_can_restore(age: float, days: int) -> None:
    assert longest_days(age) == days


@given(st.dates(min_value=date(1900, 1, 1)))
def test_partition_names(day: date) -> None:
    assert partition_day(partition_name(day)) == day


@pytest.mark.parametrize("name", ["log_lines", "log_lines_2026", "log_lines_20261120x", "workloads"])
def test_other_tables_are_no_partitions(name: str) -> None:
    assert partition_day(name) is None
