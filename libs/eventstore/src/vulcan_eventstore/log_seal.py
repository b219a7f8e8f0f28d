"""Ending the log of an attempt whose writer is lost, whether or not it knows."""

from functools import partial

from vulcan_contracts.clock import utc_now
from vulcan_contracts.logs import LogLine
from vulcan_eventstore.backoff import patiently, within
from vulcan_eventstore.connection import Bus
from vulcan_eventstore.errors import LogFencedError
from vulcan_eventstore.log_tail import LogEnd, LogTail, find_end, shut


async def seal(bus: Bus, tenant: str, workload_id: str, attempt: int, text: str, *, deadline_s: float = 10.0) -> int:
    """End the log of an attempt with one `system` line; what its writer still sends is refused.

    Repeated with the same text it finds its own line. A writer that writes on without a pause does not hold it off.

    Returns:
        the line's number: the last one of the attempt.

    Raises:
        LogFencedError: a later attempt has written; there is nothing to seal any more.
        EventStoreUnavailableError: not sealed by the deadline; a repeat is safe.
    """

    async def look() -> LogEnd:
        end = await patiently(bus, "log", lambda: find_end(bus, tenant, workload_id))
        if end.attempt > attempt:
            raise LogFencedError(f"{workload_id}: attempt {end.attempt} has written, {attempt} is long over")
        return end

    async def until_sealed() -> int:
        while True:
            end = await look()
            if _is_seal(end, attempt, text):
                return end.line
            line = LogLine(seq=end.line + 1, time=utc_now(), stream="system", text=text)
            try:
                await LogTail(bus, tenant=tenant, workload_id=workload_id, attempt=attempt, end=end).append([line])
            except LogFencedError:
                # Somebody writes: the lost writer, most likely, and its next batch may always be there before ours.
                end = await look()
                if not _is_seal(end, attempt, text):
                    await patiently(bus, "log", partial(shut, bus, tenant, workload_id, end))
            else:
                return line.seq

    return await within(deadline_s, until_sealed())


def _is_seal(end: LogEnd, attempt: int, text: str) -> bool:
    if end.batch is None or end.attempt != attempt or len(end.batch.lines) != 1 or end.seq != end.lines_seq:
        return False
    return end.batch.lines[0].stream == "system" and end.batch.lines[0].text == text
