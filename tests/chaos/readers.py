"""Readers of event streams: they come back with the id of the last line that they saw, until they are told the end."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from typing import Final

import httpx
import msgspec

from chaos.api import PATIENCE_S, Api, GaveUpError
from chaos.plan import Job
from chaos.records import Reading
from vulcan_contracts.logs import LogLine

_STREAM: Final = "text/event-stream"
_TIMEOUT: Final = httpx.Timeout(30.0, connect=5.0)
"""Of silence: the platform sends a comment every 10 s."""
_PAUSE_S: Final = 0.2
_LINES: Final = 40
_line = msgspec.json.Decoder(LogLine)


class Message(msgspec.Struct, frozen=True):
    """One message of an event stream."""

    event: str
    data: str
    id: str


async def messages(lines: AsyncIterator[str]) -> AsyncIterator[Message]:
    """The whole messages in a body's lines; one that is cut off does not count."""
    event = data = number = ""
    async for line in lines:
        if not line:
            if data:
                yield Message(event, data, number)
            event = data = number = ""
            continue
        name, _, value = line.partition(": ")
        if name == "event":
            event = value
        elif name == "data":
            data = value
        elif name == "id":
            number = value


class Reader:
    """Fills a `Reading`. One that drops leaves by itself, after ever more lines each time, and comes back."""

    def __init__(self, api: Api, reading: Reading, *, drops: random.Random | None = None) -> None:
        self._api = api
        self._drops = drops
        self._left: int | None = None
        self.reading = reading

    async def run(self) -> None:
        """Read until `done`.

        Raises:
            GaveUpError: for too long there was nothing to read.
        """
        deadline = time.monotonic() + PATIENCE_S
        while not self.reading.done:
            before = self.reading.position
            try:
                await self._connect()
            except httpx.ReadTimeout:
                self._api.faults[f"{self.reading.workload_id}: a stream was silent for {_TIMEOUT.read:g} s"] += 1
            except httpx.TransportError:
                self._api.failures += 1
            if self.reading.position > before:
                deadline = time.monotonic() + PATIENCE_S
            if time.monotonic() > deadline:
                raise GaveUpError(
                    f"{self.reading.workload_id}: a reader ({self.reading.kind}) had {self.reading.position} lines "
                    f"and then nothing for {PATIENCE_S:g} s"
                )
            await asyncio.sleep(0 if self.reading.done else _PAUSE_S)

    async def _connect(self) -> None:
        headers = {"Accept": _STREAM}
        if self.reading.position:
            headers["Last-Event-ID"] = str(self.reading.position)
        path = f"/v1/workloads/{self.reading.workload_id}/logs"
        async with self._api.http.stream("GET", path, headers=headers, timeout=_TIMEOUT) as answer:
            if answer.status_code != httpx.codes.OK:
                await answer.aread()
                self._api.refused(answer, "GET /v1/workloads/{id}/logs as a stream")
                return
            self.reading.connections += 1
            await self.follow(answer)

    async def follow(self, answer: httpx.Response) -> None:
        """Take what a stream says, until its end or until it is time to drop it."""
        if self._drops is not None:
            self._left = self._drops.randint(0, _LINES * self.reading.connections)
        async for message in messages(answer.aiter_lines()):
            if self._take(message):
                return
        if not self.reading.done:
            self._api.faults[f"{self.reading.workload_id}: a stream ended in good order, but before its end"] += 1

    def _take(self, message: Message) -> bool:
        """True if nothing more is wanted of this connection."""
        if message.event == "line":
            line = _line.decode(message.data)
            if message.id != str(line.seq):
                self._api.faults[f"{self.reading.workload_id}: line {line.seq} came under the id {message.id}"] += 1
            self.reading.lines.append(line)
            if self._left is not None:
                self._left -= 1
                return self._left < 0
        elif message.event == "done":
            self.reading.done.append(msgspec.json.decode(message.data))
        elif message.event == "workload":
            self.reading.workload_id = self.reading.workload_id or msgspec.json.decode(message.data)["id"]
        return False


async def submit_and_read(api: Api, job: Job, accepted: Callable[[str], None]) -> Reading:
    """Submit by the call whose answer is the output itself; what breaks off later is read on as any stream is.

    Raises:
        GaveUpError: it was never accepted, or never ended.
    """
    reading = Reading(workload_id="", kind="streamed submit")
    reader = Reader(api, reading)
    deadline = time.monotonic() + PATIENCE_S
    while not await _submitted(api, job, reader):
        if time.monotonic() > deadline:
            raise GaveUpError(f"{job.key}: was not accepted in {PATIENCE_S:g} s")
        await asyncio.sleep(_PAUSE_S)
    accepted(reading.workload_id)
    await reader.run()
    return reading


async def _submitted(api: Api, job: Job, reader: Reader) -> bool:
    """Submit, and read for as long as the answer lasts; True if it began with the accepted workload."""
    headers = {"Accept": _STREAM, "Idempotency-Key": job.key}
    try:
        async with api.http.stream("POST", "/v1/workloads", json=job.spec, headers=headers, timeout=_TIMEOUT) as answer:
            if answer.status_code == httpx.codes.OK:
                reader.reading.connections += 1
                await reader.follow(answer)
            else:
                await answer.aread()
                api.refused(answer, "POST /v1/workloads as a stream")
    except httpx.TransportError:
        api.failures += 1
    return bool(reader.reading.workload_id)
