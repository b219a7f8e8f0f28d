"""What the scheduler hands to a node: the workload as the log had it when it was scheduled.

The state and its sequence number let the executor append `started` without reading the log first; the fence refuses
it if anything happened in between.
"""

import msgspec
from msgspec import Struct

from vulcan_contracts.workload import Workload


class Assignment(Struct, frozen=True, kw_only=True):
    """An attempt given to one life of a node. `seq` is the stream sequence of the workload's last event."""

    workload: Workload
    seq: int


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Assignment)


def encode_assignment(assignment: Assignment) -> bytes:
    """The bytes that travel (MessagePack)."""
    return _encoder.encode(assignment)


def decode_assignment(payload: bytes) -> Assignment:
    """The assignment from its bytes.

    Raises:
        msgspec.DecodeError: these bytes are not an assignment.
    """
    return _decoder.decode(payload)
