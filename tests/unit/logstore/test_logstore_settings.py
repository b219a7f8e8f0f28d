"""The logstore's settings."""

import pytest

from vulcan_chassis.settings import SettingsError, load
from vulcan_logstore.settings import LogstoreSettings


def test_defaults_need_a_database_only() -> None:
    with pytest.raises(SettingsError, match="VULCAN_DATABASE_URL is not set"):
        load(LogstoreSettings, {})
    settings = load(LogstoreSettings, {"VULCAN_DATABASE_URL": "postgresql://x", "VULCAN_NATS_URL": "nats://y:1"})
    assert (settings.log_retention_days, settings.nats.url) == (30, "nats://y:1")


def test_a_retention_that_no_rebuild_could_restore_is_refused() -> None:
    environ = {"VULCAN_DATABASE_URL": "postgres://x", "VULCAN_LOG_RETENTION_DAYS": "90"}
    with pytest.raises(SettingsError, match="VULCAN_STREAMS_LOG_MAX_AGE_DAYS to 91"):
        load(LogstoreSettings, environ)
    longer = {**environ, "VULCAN_STREAMS_LOG_MAX_AGE_DAYS": "91"}
    assert load(LogstoreSettings, longer).log_retention_days == 90


def test_a_url_of_another_database_is_refused() -> None:
    with pytest.raises(SettingsError, match="it takes a PostgreSQL URL"):
        load(LogstoreSettings, {"VULCAN_DATABASE_URL": "mysql://user:secret@x"})
