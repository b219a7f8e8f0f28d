"""How long a tenant's log lines are kept, and what their partitions are called."""

import re
from collections.abc import Callable
from datetime import date
from math import floor
from typing import Final

from vulcan_contracts.tenants import Tenant

_PARTITION: Final = re.compile(r"log_lines_(\d{4})(\d{2})(\d{2})")


def longest_days(stream_max_age_days: float) -> int:
    """The longest retention that a rebuild can restore: a line is in the table for up to a day more than its
    retention, and has to be in the stream as long."""
    return max(0, floor(stream_max_age_days) - 1)


def retention(tenants: Callable[[str], Tenant | None], *, default_days: int, max_days: int) -> Callable[[str], int]:
    """The days to keep each tenant's lines: its own, else the default, from 0 (the line's own day) to `max_days`."""

    def days(tenant: str) -> int:
        stored = tenants(tenant)
        own = stored.log_retention_days if stored is not None else None
        return max(0, min(default_days if own is None else own, max_days))

    return days


def partition_name(day: date) -> str:
    """The partition that holds the lines which expire on `day`."""
    return f"log_lines_{day:%Y%m%d}"


def partition_day(name: str) -> date | None:
    """The day of a partition; None if the table is none."""
    match = _PARTITION.fullmatch(name)
    return date(int(match[1]), int(match[2]), int(match[3])) if match else None
