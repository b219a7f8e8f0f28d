"""What readers of the streams get: stored messages, decoded."""

import logging
from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Struct

from vulcan_contracts import subjects
from vulcan_contracts.events import Recorded, decode_envelope
from vulcan_contracts.logs import LogBatch, decode_batch
from vulcan_eventstore import metrics

_log = logging.getLogger(__name__)

SEQUENCE: Final = "Nats-Sequence"
PREVIOUS_SEQUENCE: Final = "Nats-Last-Sequence"


class StoredBatch(Struct, frozen=True, kw_only=True):
    """A log batch as the stream holds it. `previous_seq` is the workload's batch before it, told by the live copy
    only (0: the first, or not told)."""

    seq: int
    batch: LogBatch
    previous_seq: int = 0


def recorded(seq: int, subject: str, data: bytes) -> Recorded | None:
    """The event, or None if these bytes are none: said and counted, and never a reason to stand still."""
    try:
        return Recorded(seq=seq, envelope=decode_envelope(data))
    except msgspec.DecodeError as error:
        _skipped(subjects.EVENTS_STREAM, seq, subject, error)
        return None


def stored_batch(seq: int, subject: str, data: bytes, headers: Mapping[str, str] | None = None) -> StoredBatch | None:
    """The batch, or None if these bytes are none: said and counted, and never a reason to stand still."""
    if not data:
        return None  # what shuts out a writer holds no lines
    try:
        batch = decode_batch(data)
    except msgspec.DecodeError as error:
        _skipped(subjects.LOGS_STREAM, seq, subject, error)
        return None
    previous = headers.get(PREVIOUS_SEQUENCE, "0") if headers else "0"
    return StoredBatch(seq=seq, batch=batch, previous_seq=int(previous))


def _skipped(stream: str, seq: int, subject: str, error: Exception) -> None:
    metrics.SKIPPED.labels(stream).inc()
    _log.error("%s: skipping message %d on %s: %s", stream, seq, subject, error)
