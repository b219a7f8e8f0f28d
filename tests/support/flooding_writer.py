"""A process that writes one workload's log without a pause until it is fenced out: `-m support.flooding_writer URL`."""

import asyncio
import sys

from support.eventlog import TENANT
from vulcan_eventstore.connection import Bus, NatsSettings
from vulcan_eventstore.errors import LogFencedError
from vulcan_eventstore.log_writer import LogWriter


async def flood(url: str, workload_id: str) -> None:
    """Write full batches, one on the heels of the other; say on standard output that the fence held."""
    async with await Bus.connect(NatsSettings(url=url), name="flood") as bus:
        writer = await LogWriter.open(bus, tenant=TENANT, workload_id=workload_id, attempt=1)
        try:
            while True:
                await writer.write("stdout", "x" * 1000)
        except LogFencedError:
            sys.stdout.write("fenced\n")


if __name__ == "__main__":
    asyncio.run(flood(sys.argv[1], sys.argv[2]))
