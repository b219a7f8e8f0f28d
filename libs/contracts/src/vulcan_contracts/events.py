"""The events of a workload, and the envelope that each travels in.

Decode the envelope first: `data` stays raw until someone who knows the type asks for it, so a consumer skips
types that a later release added. Fields may be added with a default; none is ever renamed or removed.
"""

from datetime import datetime
from typing import Final

import msgspec
from msgspec import Struct

from vulcan_contracts.outcome import Outcome
from vulcan_contracts.spec import Backend, Spec


class Submitted(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A tenant asked for a run. `fingerprint` is the SHA-256 of what was asked, to tell a repeat from a clash."""

    spec: Spec
    fingerprint: str
    replay_of: str | None = None


class Scheduled(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The scheduler chose an isolation and one life of a node, and says why."""

    isolation: Backend
    isolation_reason: str
    node: str
    incarnation: str


class Started(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The executor took the attempt. From here on, only this incarnation may end it."""

    node: str
    incarnation: str
    isolation: Backend
    image_digest: str | None = None


class Retrying(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The attempt failed and the policy grants another, not before `not_before`."""

    outcome: Outcome
    next_attempt: int
    not_before: datetime


class KillRequested(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Somebody wants the running attempt to end."""


class Completed(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The workload did what it was asked to."""

    outcome: Outcome


class Failed(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The workload ended, and not well; `outcome.reason` says why."""

    outcome: Outcome


class Killed(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The workload was ended on request."""

    outcome: Outcome


class Deleted(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The workload is hidden from lists."""


EventData = Submitted | Scheduled | Started | Retrying | KillRequested | Completed | Failed | Killed | Deleted

EVENT_TYPES: Final[dict[str, type[EventData]]] = {
    "submitted": Submitted,
    "scheduled": Scheduled,
    "started": Started,
    "retrying": Retrying,
    "kill_requested": KillRequested,
    "completed": Completed,
    "failed": Failed,
    "killed": Killed,
    "deleted": Deleted,
}
TERMINAL_TYPES: Final = frozenset({"completed", "failed", "killed"})
_TYPE_NAMES: Final = {cls: name for name, cls in EVENT_TYPES.items()}


class Envelope(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What every event carries, whatever its type.

    version: 1, 2, 3 ... per workload, without gaps. actor: `user:<key id>`, `scheduler`, `executor:<node>`.
    """

    id: str
    type: str
    workload_id: str
    tenant: str
    actor: str
    time: datetime
    version: int
    attempt: int
    traceparent: str | None = None
    data: msgspec.Raw


class Recorded(Struct, frozen=True, kw_only=True):
    """An event as the log holds it. `seq` is its position in the stream, the same for every reader."""

    seq: int
    envelope: Envelope

    @property
    def data(self) -> EventData | None:
        """The decoded data, or None for a type that this release does not know."""
        return decode_data(self.envelope)


_encoder = msgspec.json.Encoder()
_envelope_decoder = msgspec.json.Decoder(Envelope)
_data_decoders = {name: msgspec.json.Decoder(cls) for name, cls in EVENT_TYPES.items()}


def type_name(data: EventData) -> str:
    """The event type of this data, as it stands in the envelope and the subject."""
    return _TYPE_NAMES[type(data)]


def encode_data(data: EventData) -> msgspec.Raw:
    """The data as it is stored inside an envelope."""
    return msgspec.Raw(_encoder.encode(data))


def decode_data(envelope: Envelope) -> EventData | None:
    """The envelope's data, or None for a type that this release does not know.

    Raises:
        msgspec.ValidationError: the data is not what its type promises.
    """
    decoder = _data_decoders.get(envelope.type)
    return None if decoder is None else decoder.decode(envelope.data)


def encode_envelope(envelope: Envelope) -> bytes:
    """The bytes that are stored."""
    return _encoder.encode(envelope)


def decode_envelope(payload: bytes) -> Envelope:
    """The envelope from stored bytes.

    Raises:
        msgspec.DecodeError: these bytes are not an envelope.
    """
    return _envelope_decoder.decode(payload)
