"""Everything the scheduler can be told."""

import os
import socket
from typing import Annotated

from msgspec import Meta, Struct

from vulcan_eventstore.connection import NatsSettings
from vulcan_eventstore.streams import StreamSettings
from vulcan_scheduler.domain.board import Limits

Positive = Annotated[float, Meta(gt=0)]
Count = Annotated[int, Meta(ge=1)]


class Tuning(Struct, frozen=True, kw_only=True):
    """The scheduler's own settings, `VULCAN_SCHEDULER_...`; the README says what each does."""

    name: str = ""
    lease_ttl_s: Annotated[float, Meta(ge=1)] = 5.0
    heartbeat_interval_s: Positive = 1.0
    missed_heartbeats: Count = 10
    dispatch_timeout_s: Positive = 5.0
    append_timeout_s: Positive = 10.0
    max_releases_in_flight: Count = 64
    max_losses_in_flight: Count = 16
    max_running_per_tenant: Annotated[int, Meta(ge=0)] = 10_000
    reserve_after_s: Positive = 10.0
    debt_cap_s: Positive = 60.0
    keep_state_bytes: Annotated[int, Meta(ge=0)] = 4096
    keep_total_bytes: Annotated[int, Meta(ge=0)] = 64 * 2**20
    snapshot_interval_s: Positive = 0.25
    snapshot_at_least_every_s: Positive = 2.0
    checkpoint_interval_s: Positive = 60.0
    checkpoint_min_events: Count = 1000
    checkpoint_timeout_s: Positive = 60.0
    metrics_tenants: Count = 20

    @property
    def owner(self) -> str:
        """Who this scheduler is, as the lease and the logs say."""
        return self.name or f"{socket.gethostname()}-{os.getpid()}"

    @property
    def limits(self) -> Limits:
        """What the plan decides by."""
        return Limits(
            dispatch_timeout_s=self.dispatch_timeout_s,
            missed_heartbeats=self.missed_heartbeats,
            lost_after_s=self.missed_heartbeats * self.heartbeat_interval_s,
            reserve_after_s=self.reserve_after_s,
            debt_cap_s=self.debt_cap_s,
            default_max_running=self.max_running_per_tenant,
            keep_state_bytes=self.keep_state_bytes,
            keep_total_bytes=self.keep_total_bytes,
        )


class SchedulerSettings(Struct, frozen=True, kw_only=True):
    """The environment of `python -m vulcan_scheduler`."""

    nats: NatsSettings = NatsSettings()
    streams: StreamSettings = StreamSettings()
    scheduler: Tuning = Tuning()
