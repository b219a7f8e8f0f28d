"""What the gateway can be told. Every field is a `VULCAN_...` variable; see the README."""

from typing import Annotated

from msgspec import Meta, Struct, field

from vulcan_chassis.listen import Listen
from vulcan_eventstore.connection import NatsSettings
from vulcan_eventstore.streams import StreamSettings
from vulcan_gateway.db.pool import PoolSettings
from vulcan_gateway.live.tail import TailSettings

Bytes = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0)]
Count = Annotated[int, Meta(ge=1)]
DatabaseUrl = Annotated[
    str,
    Meta(pattern="^(postgres(ql)?://.*)?$", description="a PostgreSQL URL, as in postgresql://user@host:5432/vulcan"),
]


class LimitSettings(Struct, frozen=True, kw_only=True):
    """What one caller may ask of this gateway at once."""

    json_body_bytes: Bytes = 768 * 1024
    archive_bytes: Bytes = 64 * 1024 * 1024
    archive_entries: Count = 10_000
    archive_unpacked_bytes: Bytes = 1024 * 1024 * 1024
    archive_inspect_timeout_s: Seconds = 30.0
    body_timeout_s: Seconds = 120.0
    drain_bytes: Bytes = 128 * 1024 * 1024
    drain_timeout_s: Seconds = 5.0
    """How much of a refused body is still read, and for how long, so that the refusal reaches its sender."""
    uploads: Count = 16
    uploads_per_key: Count = 4
    streams_per_key: Count = 256
    streams: Count = 10_000
    waits_per_key: Count = 1024
    waits: Count = 10_000
    max_waiting: Count = 10_000
    """How many workloads of a tenant may wait, where its quotas do not say."""
    output_bytes: Bytes = 64 * 1024
    """How much of stdout and of stderr a result holds."""
    reader_buffer_bytes: Bytes = 4 * 1024 * 1024
    """How much may wait for a live reader before it goes back to history."""
    send_timeout_s: Seconds = 60.0
    """How long a client may leave a stream unread before it is cut off."""


class ClusterSettings(Struct, frozen=True, kw_only=True):
    """How the gateway judges what it hears of nodes and queues."""

    missed_heartbeats: Count = 10
    node_forget_s: Seconds = 3600.0
    node_grace_s: Seconds = 2.5
    """How long after its start the gateway waits for a first heartbeat before it refuses a submit."""
    explain_timeout_s: Seconds = 0.25
    rebuild_timeout_s: Seconds = 5.0


class GatewaySettings(Struct, frozen=True, kw_only=True):
    """Everything."""

    listen: Listen = "127.0.0.1:8080"
    database_url: DatabaseUrl = ""
    bootstrap_key_file: str = ""
    append_timeout_s: Seconds = 10.0
    read_timeout_s: Seconds = 5.0
    wait_recheck_s: Seconds = 2.0
    nats: NatsSettings = field(default_factory=NatsSettings)
    streams: StreamSettings = field(default_factory=StreamSettings)
    postgres: PoolSettings = field(default_factory=PoolSettings)
    limits: LimitSettings = field(default_factory=LimitSettings)
    cluster: ClusterSettings = field(default_factory=ClusterSettings)
    tail: TailSettings = field(default_factory=TailSettings)
