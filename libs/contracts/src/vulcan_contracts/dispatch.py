"""What the scheduler hands to a node: the workload as the log had it when it was scheduled.

The state and its sequence number let the executor append `started` without reading the log first; the fence refuses
it if anything happened in between.

A hint goes ahead of it, while `scheduled` is on its way to the log: the workload as it is about to be. Nobody stores
it, and it may not come true; whoever acts on it lets nothing be seen before the assignment has come.
"""

import msgspec
from msgspec import Struct

from vulcan_contracts.commands import Schedule
from vulcan_contracts.decisions import decide
from vulcan_contracts.errors import DomainError
from vulcan_contracts.workload import Workload


class Assignment(Struct, frozen=True, kw_only=True):
    """An attempt given to one life of a node. `seq` is the stream sequence of the workload's last event."""

    workload: Workload
    seq: int


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Assignment)
_hint_decoder = msgspec.msgpack.Decoder(Workload)


def foreseen(state: Workload, command: Schedule) -> Workload | None:
    """The workload as it will be when the command is on the log; None if it will not be taken."""
    try:
        decide(state, command)
    except DomainError:
        return None
    return msgspec.structs.replace(
        state,
        version=state.version + 1,
        isolation=command.isolation,
        isolation_reason=command.isolation_reason,
        node=command.node,
        incarnation=command.incarnation,
    )


def encode_hint(workload: Workload) -> bytes:
    """The bytes that travel (MessagePack)."""
    return _encoder.encode(workload)


def decode_hint(payload: bytes) -> Workload:
    """The workload from its bytes.

    Raises:
        msgspec.DecodeError: these bytes are not a hint.
    """
    return _hint_decoder.decode(payload)


def encode_assignment(assignment: Assignment) -> bytes:
    """The bytes that travel (MessagePack)."""
    return _encoder.encode(assignment)


def decode_assignment(payload: bytes) -> Assignment:
    """The assignment from its bytes.

    Raises:
        msgspec.DecodeError: these bytes are not an assignment.
    """
    return _decoder.decode(payload)
