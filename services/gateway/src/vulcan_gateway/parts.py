"""What the gateway is made of: built in `wiring`, used by the handlers."""

from typing import NamedTuple

from prometheus_client import CollectorRegistry

from vulcan_chassis.health import Health
from vulcan_eventstore.blobs import Blobs
from vulcan_eventstore.event_reader import EventReader
from vulcan_eventstore.workload_log import WorkloadLog
from vulcan_gateway.db.pool import Database
from vulcan_gateway.history import LogHistory
from vulcan_gateway.keyring import Keyring
from vulcan_gateway.live.cluster import Cluster
from vulcan_gateway.live.hub import Hub
from vulcan_gateway.live.tail import Tail
from vulcan_gateway.patience import Patience
from vulcan_gateway.rebuilds import Rebuilds
from vulcan_gateway.settings import GatewaySettings
from vulcan_gateway.slots import Slots
from vulcan_gateway.submissions import Submissions


class Parts(NamedTuple):
    """The collaborators."""

    settings: GatewaySettings
    health: Health
    registry: CollectorRegistry
    keyring: Keyring
    cluster: Cluster
    log: WorkloadLog
    events: EventReader
    history: LogHistory
    blobs: Blobs
    database: Database
    hub: Hub
    tail: Tail
    submissions: Submissions
    rebuilds: Rebuilds
    patience: Patience
    streams: Slots
    waits: Slots
    uploads: Slots
