"""Settings: what is read from where, and that every mistake is told at once without its value."""

import contextlib
from pathlib import Path
from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, Struct

from vulcan_chassis.listen import Listen
from vulcan_chassis.settings import SettingsError, load, variables


class Nested(Struct, frozen=True, kw_only=True):
    url: str = "nats://127.0.0.1:4222"
    replicas: Annotated[int, Meta(ge=1, le=5)] = 1


class Example(Struct, frozen=True, kw_only=True):
    database_url: str
    nats: Nested = Nested()
    listen: Listen = "127.0.0.1:8080"
    data_dir: Path = Path("/var/lib/vulcan")
    interval_s: Annotated[float, Meta(gt=0)] = 1.0
    enabled: bool = False
    mode: Literal["fast", "safe"] = "safe"
    hosts: list[str] = []
    limit: int | None = None
    key_file: str = ""

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < self.interval_s:
            raise ValueError("limit must not be below interval_s")


def test_everything_is_read_and_the_rest_keeps_its_default() -> None:
    settings = load(
        Example,
        {
            "VULCAN_DATABASE_URL": "postgresql://x",
            "VULCAN_NATS_REPLICAS": "3",
            "VULCAN_LISTEN": "[::1]:0",
            "VULCAN_DATA_DIR": "~/data",
            "VULCAN_INTERVAL_S": "2.5",
            "VULCAN_ENABLED": "true",
            "VULCAN_MODE": "fast",
            "VULCAN_HOSTS": "a, b,,c",
            "VULCAN_LIMIT": "7",
            "OTHER": "1",
        },
    )
    assert settings == Example(
        database_url="postgresql://x",
        nats=Nested(replicas=3),
        listen="[::1]:0",
        data_dir=Path("~/data").expanduser(),
        interval_s=2.5,
        enabled=True,
        mode="fast",
        hosts=["a", "b", "c"],
        limit=7,
    )


def test_all_mistakes_are_told_at_once_by_variable_with_what_it_takes_and_without_the_value() -> None:
    with pytest.raises(SettingsError) as caught:
        load(
            Example,
            {
                "VULCAN_NATS_REPLICAS": "sekret",
                "VULCAN_LISTEN": "sekret",
                "VULCAN_INTERVAL_S": "0",
                "VULCAN_ENABLED": "sekret",
                "VULCAN_MODE": "sekret",
                "VULCAN_LIMIT": "1.5",
            },
        )
    assert caught.value.problems == [
        "VULCAN_DATABASE_URL is not set; it takes text",
        "VULCAN_NATS_REPLICAS is not valid; it takes a whole number from 1 to 5",
        "VULCAN_LISTEN is not valid; it takes host:port, as in 127.0.0.1:8080 or [::1]:8080; port 0 takes a free one",
        "VULCAN_INTERVAL_S is not valid; it takes a number above 0",
        "VULCAN_ENABLED is not valid; it takes true or false",
        "VULCAN_MODE is not valid; it takes one of fast, safe",
        "VULCAN_LIMIT is not valid; it takes a whole number",
    ]


def test_a_rule_over_several_fields_is_told_too() -> None:
    with pytest.raises(SettingsError, match="limit must not be below interval_s"):
        load(Example, {"VULCAN_DATABASE_URL": "x", "VULCAN_LIMIT": "1", "VULCAN_INTERVAL_S": "2"})


def test_a_secret_comes_from_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("postgresql://user:pass@host/db\n")
    settings = load(Example, {"VULCAN_DATABASE_URL_FILE": str(secret), "VULCAN_KEY_FILE": "/some/path"})
    assert settings.database_url == "postgresql://user:pass@host/db"
    assert settings.key_file == "/some/path", "a field of that name is a value, not a way to give another"


def test_what_is_wrong_with_a_file_is_told(tmp_path: Path) -> None:
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe")
    huge = tmp_path / "huge"
    huge.write_bytes(b"x" * 70_000)
    for environ, words in (
        ({"VULCAN_DATABASE_URL_FILE": str(tmp_path / "none")}, "cannot be read: No such file"),
        ({"VULCAN_DATABASE_URL_FILE": str(binary)}, "not UTF-8"),
        ({"VULCAN_DATABASE_URL_FILE": str(huge)}, "longer than"),
        ({"VULCAN_DATABASE_URL_FILE": str(binary), "VULCAN_DATABASE_URL": "x"}, "both set"),
    ):
        with pytest.raises(SettingsError, match=words):
            load(Example, environ)


def test_an_empty_variable_counts_as_not_set() -> None:
    settings = load(Example, {"VULCAN_DATABASE_URL": "x", "VULCAN_LIMIT": "", "VULCAN_NATS_URL": ""})
    assert settings.limit is None
    assert settings.nats.url == "nats://127.0.0.1:4222"


@pytest.mark.parametrize("text", ["nan", "inf", "-inf"])
def test_a_number_is_finite(text: str) -> None:
    with pytest.raises(SettingsError, match="VULCAN_INTERVAL_S"):
        load(Example, {"VULCAN_DATABASE_URL": "x", "VULCAN_INTERVAL_S": text})


@given(st.dictionaries(st.sampled_from([name for name, _ in variables(Example)]), st.text(max_size=20)))
def test_no_environment_makes_it_fail_in_another_way(environ: dict[str, str]) -> None:
    with contextlib.suppress(SettingsError):
        load(Example, environ)
