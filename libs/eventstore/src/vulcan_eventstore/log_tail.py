"""Where a workload's log ends, and appending there: each batch fenced on the one before."""

from typing import Final

import msgspec

from vulcan_contracts import subjects
from vulcan_contracts.ids import ulid
from vulcan_contracts.logs import LogBatch, LogLine, decode_batch, encode_batch
from vulcan_eventstore import jetstream
from vulcan_eventstore.backoff import patiently
from vulcan_eventstore.connection import Bus
from vulcan_eventstore.errors import LogFencedError, StaleWriteError

_BEHIND: Final = "Vulcan-Behind"


class LogEnd(msgspec.Struct, frozen=True):
    """Where a log ends. `seq`: of its last message; `lines_seq`: of the last one with lines, which is `batch`."""

    seq: int = 0
    lines_seq: int = 0
    batch: LogBatch | None = None

    @property
    def line(self) -> int:
        """The number of the last line; 0 if there is none."""
        return 0 if self.batch is None else self.batch.last

    @property
    def attempt(self) -> int:
        """The attempt that wrote the last line; 0 if there is none."""
        return 0 if self.batch is None else self.batch.attempt


async def find_end(bus: Bus, tenant: str, workload_id: str) -> LogEnd:
    """Where the log ends now, strongly consistent.

    Raises:
        EventStoreUnavailableError: NATS does not answer.
    """
    subject = subjects.log(tenant, workload_id)
    newest = await jetstream.last(bus, subjects.LOGS_STREAM, subject)
    if newest is None:
        return LogEnd()
    if newest.data:
        return LogEnd(newest.seq, newest.seq, decode_batch(newest.data))
    found, seq = LogEnd(seq=newest.seq), int(newest.headers[_BEHIND])
    while seq < newest.seq:
        page = await jetstream.direct_many(bus, subjects.LOGS_STREAM, subject, from_seq=max(1, seq))
        for stored in page:
            if stored.data:
                found = LogEnd(newest.seq, stored.seq, decode_batch(stored.data))
        seq = page[-1].seq + 1 if page else newest.seq
    return found


async def shut(bus: Bus, tenant: str, workload_id: str, end: LogEnd) -> None:
    """End whoever writes to the log now: a message without lines, which needs no number and so no fence.

    It says behind which message the last line is to be found.

    Raises:
        EventStoreUnavailableError: not known to be stored; a repeat is harmless.
    """
    headers = {_BEHIND: str(end.lines_seq)}
    await jetstream.publish(bus, subjects.log(tenant, workload_id), b"", headers=headers)


class LogTail:
    """Appends batch after batch."""

    def __init__(self, bus: Bus, *, tenant: str, workload_id: str, attempt: int, end: LogEnd) -> None:
        self._bus = bus
        self._tenant = tenant
        self._workload_id = workload_id
        self._attempt = attempt
        self._subject = subjects.log(tenant, workload_id)
        self._seq = end.seq
        # Two writers may both have a batch that begins with the same line: neither may pass for the other's repeat.
        self._writer = ulid()

    async def append(self, lines: list[LogLine]) -> None:
        """Store the lines as one batch, however often it takes; the caller sets the deadline.

        Raises:
            LogFencedError: the log does not end where this writer left it.
        """
        batch = LogBatch(workload_id=self._workload_id, tenant=self._tenant, attempt=self._attempt, lines=lines)
        payload = encode_batch(batch)
        headers = {
            jetstream.MSG_ID: f"{self._workload_id}.{self._attempt}.{batch.first}.{self._writer}",
            jetstream.EXPECTED_SEQ: str(self._seq),
        }
        try:
            ack = await patiently(
                self._bus, "log", lambda: jetstream.publish(self._bus, self._subject, payload, headers=headers)
            )
            self._seq = ack.seq
        except StaleWriteError:
            newest = await patiently(
                self._bus, "log", lambda: jetstream.last(self._bus, subjects.LOGS_STREAM, self._subject)
            )
            if newest is None or newest.data != payload:
                raise LogFencedError(f"{self._workload_id}: another writer took over its log") from None
            self._seq = newest.seq  # an earlier try of this very batch
