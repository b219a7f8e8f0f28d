"""What may be asked of a workload. `decisions.decide` turns one into an event, or refuses."""

from datetime import datetime

from msgspec import Struct

from vulcan_contracts.outcome import Outcome
from vulcan_contracts.spec import Backend, Spec


class Submit(Struct, frozen=True, kw_only=True):
    """Bring the workload into being. A repeat with the same fingerprint is harmless."""

    spec: Spec
    fingerprint: str
    replay_of: str | None = None


class Schedule(Struct, frozen=True, kw_only=True):
    """Give the current attempt to one life of a node; given again, it moves there."""

    isolation: Backend
    isolation_reason: str
    node: str
    incarnation: str


class Start(Struct, frozen=True, kw_only=True):
    """Take the attempt that was given to this incarnation."""

    node: str
    incarnation: str
    attempt: int
    image_digest: str | None = None


class End(Struct, frozen=True, kw_only=True):
    """End the attempt as its executor saw it end; `at` is when a retry's backoff begins."""

    node: str
    incarnation: str
    attempt: int
    outcome: Outcome
    at: datetime


class LoseExecutor(Struct, frozen=True, kw_only=True):
    """Declare that this life of the node is over, with the attempt it ran.

    `last_line` is the line that sealed the attempt's log, so that the lost executor cannot write behind it.
    """

    node: str
    incarnation: str
    attempt: int
    at: datetime
    last_line: int


class RequestKill(Struct, frozen=True, kw_only=True):
    """End the workload on a user's word. A repeat is harmless."""


class Expire(Struct, frozen=True, kw_only=True):
    """Give up a workload that waited longer than its queue TTL."""

    at: datetime


class Delete(Struct, frozen=True, kw_only=True):
    """Hide the workload from lists. A repeat is harmless."""


Command = Submit | Schedule | Start | End | LoseExecutor | RequestKill | Expire | Delete
