"""The wall clock, in the one form that is stored and sent: aware, UTC."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    """The current time in UTC."""
    return datetime.now(UTC)
