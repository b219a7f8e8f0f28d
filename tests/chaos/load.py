"""A steady load: clients that each submit a workload, follow it to its end, and submit the next."""

import asyncio
import itertools
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from chaos import plan
from chaos.api import Api
from chaos.plan import Job
from chaos.readers import Reader, submit_and_read
from chaos.records import Reading, Submitted
from vulcan_contracts.ids import idempotent_workload_id

TENANT: Final = "default"
_WAIT_S: Final = 15
_PAUSE_S: Final = 0.1
_POLL_S: Final = 0.3
_PULSE_EVERY_S: Final = 0.25
_REBUILD_EVERY_S: Final = 15.0
_ENDED: Final = ("completed", "failed", "killed")


@dataclass(kw_only=True)
class Work:
    """What was submitted and read so far."""

    submitted: dict[str, Submitted] = field(default_factory=dict)
    readings: list[Reading] = field(default_factory=list)
    open: int = 0
    faults: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Pulse:
    """A moment from which until when a workload was submitted, run and listed; on the monotonic clock."""

    begun: float
    ended: float


class Load:
    """Clients, and a pulse that shows whether the platform does its work."""

    def __init__(self, api: Api, seed: int, clients: int) -> None:
        self._api = api
        self._seed = seed
        self._clients = clients
        self._enough = asyncio.Event()
        self.work = Work()
        self.pulses: list[Pulse] = []
        self.rebuilds = 0

    async def run(self) -> None:
        """Until `finish` was called and everything that was begun has ended."""
        async with asyncio.TaskGroup() as group:
            for client in range(self._clients):
                group.create_task(self._client(client), name=f"client {client}")
            group.create_task(self._pulse(), name="pulse")
            group.create_task(self._rebuild(), name="rebuild")

    def finish(self) -> None:
        """Submit nothing more."""
        self._enough.set()

    async def _client(self, number: int) -> None:
        for job in plan.jobs(self._seed, number):
            if await self._pause(_PAUSE_S):
                return
            with self._open():
                await self._serve(job)

    async def _serve(self, job: Job) -> None:
        if job.way == "stream":
            await self._stream(job)
        elif job.way == "wait":
            answer = await self._submit("/v1/workloads", job, wait=_WAIT_S)
            await self._until_ended(answer["id"], answer)
        else:
            await self._follow(job, (await self._submit("/v1/workloads/async", job))["id"])

    async def _stream(self, job: Job) -> None:
        self.work.readings.append(await submit_and_read(self._api, job, lambda name: self._accepted(job, name)))

    async def _follow(self, job: Job, workload_id: str) -> None:
        rng = random.Random(f"drops {job.key}")
        readers = [self._reader(workload_id, "stays") for _ in range(job.readers)]
        readers += [self._reader(workload_id, "drops", random.Random(rng.random())) for _ in range(job.droppers)]
        async with asyncio.TaskGroup() as group:
            for reader in readers:
                group.create_task(reader.run())
            if job.kill_after_s is not None:
                await asyncio.sleep(job.kill_after_s)
                self.work.submitted[workload_id].kill_asked = True
                await self._api.call("POST", f"/v1/workloads/{workload_id}/kill", wanted=(200, 202))
        await self._until_ended(workload_id)

    def _reader(self, workload_id: str, kind: str, drops: random.Random | None = None) -> Reader:
        reading = Reading(workload_id=workload_id, kind=kind)
        self.work.readings.append(reading)
        return Reader(self._api, reading, drops=drops)

    async def _submit(self, path: str, job: Job, *, wait: int | None = None) -> dict[str, Any]:
        answer = await self._api.call(
            "POST",
            path,
            wanted=(200, 202),
            json=job.spec,
            params=None if wait is None else {"wait": wait},
            headers={"Idempotency-Key": job.key},
        )
        view: dict[str, Any] = answer.json()
        self._accepted(job, view["id"])
        return view

    def _accepted(self, job: Job, workload_id: str) -> None:
        if workload_id != idempotent_workload_id(TENANT, job.key):
            self.work.faults.append(f"{workload_id}: is not the workload that the key {job.key} names")
        self.work.submitted[workload_id] = Submitted(id=workload_id, job=job)

    async def _until_ended(self, workload_id: str, view: dict[str, Any] | None = None) -> dict[str, Any]:
        while view is None or view["state"] not in _ENDED:
            await asyncio.sleep(_POLL_S)
            view = (await self._api.call("GET", f"/v1/workloads/{workload_id}")).json()
        return view

    async def _pulse(self) -> None:
        # Once more at the end, so that the last kill has a recovery too.
        enough = False
        for number in itertools.count(1):
            if enough:
                return
            enough = await self._pause(_PULSE_EVERY_S)
            begun = time.monotonic()
            with self._open():
                answer = await self._submit("/v1/workloads", plan.pulse(self._seed, number), wait=_WAIT_S)
                await self._until_ended(answer["id"], answer)
                await self._api.call("GET", "/v1/workloads", params={"limit": 1})
            self.pulses.append(Pulse(begun=begun, ended=time.monotonic()))

    async def _rebuild(self) -> None:
        """Rebuilds go on while their logstore, Postgres and NATS are killed."""
        while not await self._pause(_REBUILD_EVERY_S):
            await self._api.call("POST", "/v1/admin/rebuild", wanted=(202,))
            self.rebuilds += 1

    async def _pause(self, seconds: float) -> bool:
        """True if it is enough."""
        try:
            async with asyncio.timeout(seconds):
                await self._enough.wait()
        except TimeoutError:
            return False
        return True

    @contextmanager
    def _open(self) -> Iterator[None]:
        self.work.open += 1
        try:
            yield
        finally:
            self.work.open -= 1
