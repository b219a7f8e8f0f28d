"""Values as people write them, and what of the outside never reaches a terminal."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vulcan_cli import exits
from vulcan_cli.errors import UsageError
from vulcan_cli.text import ago, duration_s, environment, memory_mb, millis, moment, pairs, plain, size
from vulcan_contracts.reasons import Reason


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("1.5", 1.5), ("30s", 30), ("5m", 300), ("1h30m", 5400), ("2d", 172_800)]
)
def test_durations(text: str, seconds: float) -> None:
    assert duration_s(text, "--timeout") == seconds


@pytest.mark.parametrize("text", ["", "x", "-1", "1y", "5 m", "m5", "1e3", "nan", "inf"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(UsageError, match="--timeout"):
        duration_s(text, "--timeout")


@pytest.mark.parametrize(
    ("text", "mb"), [("256", 256), ("256m", 256), ("256MiB", 256), ("1g", 1024), ("1.5G", 1536), ("2048k", 2)]
)
def test_memory(text: str, mb: int) -> None:
    assert memory_mb(text, "-m") == mb


@pytest.mark.parametrize("text", ["", "m", "-5", "1x", "1.2.3"])
def test_what_is_no_memory(text: str) -> None:
    with pytest.raises(UsageError):
        memory_mb(text, "-m")


def test_moments() -> None:
    assert moment("2026-01-31T12:00:00Z", "--since") == datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert moment("2026-01-31T12:00+01:00", "--since") == datetime(2026, 1, 31, 11, tzinfo=UTC)
    assert timedelta(seconds=599) < datetime.now(UTC) - moment("10m", "--since") < timedelta(seconds=700)
    assert moment("2026-01-31", "--since").tzinfo is UTC
    for text in ("yesterday", "", "999999999d"):
        with pytest.raises(UsageError, match="--since"):
            moment(text, "--since")


def test_pairs_and_environment() -> None:
    assert pairs(["a=b", "c=", "d=e=f"], "--label") == {"a": "b", "c": "", "d": "e=f"}
    for wrong in ("a", "=b", ""):
        with pytest.raises(UsageError, match="NAME=VALUE"):
            pairs([wrong], "--label")
    assert environment(["A=1", "HERE"], {"HERE": "2"}) == {"A": "1", "HERE": "2"}
    with pytest.raises(UsageError, match="no such variable"):
        environment(["GONE"], {})


@given(st.text())
def test_plain_text_steers_no_terminal(text: str) -> None:
    assert all(character.isprintable() or ord(character) > 0x9F for character in plain(text))


def test_readable_figures() -> None:
    assert (millis(None), millis(3.14), millis(12_000), millis(1_200_000)) == ("-", "3.1 ms", "12.0 s", "20 min")
    assert (size(None), size(512), size(2048), size(5 * 1024**4)) == ("-", "512 B", "2.0 KiB", "5.0 TiB")
    now = datetime(2026, 1, 31, tzinfo=UTC)
    ages = {timedelta(seconds=5): "5s", timedelta(minutes=5): "5m", timedelta(hours=5): "5h", timedelta(days=5): "5d"}
    assert {ago(now - age, now) for age in ages} == set(ages.values())
    assert ago(None) == "-"


@pytest.mark.parametrize(
    ("exit_code", "reason", "signal", "code"),
    [
        (0, None, None, 0),
        (None, None, None, 0),
        (7, Reason.EXIT_NONZERO, None, 7),
        (None, Reason.SIGNALED, 11, 139),
        (None, Reason.TIMED_OUT, None, 124),
        (None, Reason.OUT_OF_MEMORY, 9, 137),
        (None, Reason.KILLED_BY_USER, 15, 137),
        (None, Reason.CPU_LIMIT, None, 152),
        (None, Reason.OUTPUT_LIMIT, None, 153),
        (None, Reason.INVALID_SOURCE, None, 126),
        (None, Reason.EXECUTOR_LOST, None, 125),
    ],
)
def test_exit_codes(exit_code: int | None, reason: Reason | None, signal: int | None, code: int) -> None:
    assert exits.of_workload(exit_code, reason, signal) == code


@pytest.mark.parametrize("reason", Reason)
def test_no_ending_but_a_good_one_is_zero(reason: Reason) -> None:
    assert exits.of_workload(None, reason, None) != 0
    assert reason.host_fault == (exits.of_workload(None, reason, None) == 125) or reason is Reason.QUEUE_EXPIRED
