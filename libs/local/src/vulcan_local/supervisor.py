"""Keeps the services running: starts them in order, starts a crashed one again, stops them in order."""

import asyncio
from collections.abc import Sequence

from vulcan_local.keeper import Keeper, Reporter
from vulcan_local.policy import RestartPolicy
from vulcan_local.service import Service


class Supervisor:
    """Runs services until told to stop; `stop` may come at any time, also while starting."""

    def __init__(self, reporter: Reporter, policy: RestartPolicy) -> None:
        self._reporter = reporter
        self._policy = policy
        self._keepers: dict[str, Keeper] = {}

    async def start(self, stage: Sequence[Service]) -> None:
        """Start these services and wait until all of them are ready.

        Raises:
            StartFailedError: one of them does not become ready; all keep running until `stop`.
        """
        keepers = [Keeper(service, self._reporter, self._policy) for service in stage]
        self._keepers |= {keeper.service.name: keeper for keeper in keepers}
        waiting = [asyncio.create_task(keeper.wait_ready()) for keeper in keepers]
        try:
            await asyncio.gather(*waiting)
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    async def watch(self) -> None:
        """Never return, unless a keeper itself fails: then raise its error."""
        done, _ = await asyncio.wait(
            {keeper.task for keeper in self._keepers.values()}, return_when=asyncio.FIRST_EXCEPTION
        )
        for task in done:
            task.result()

    async def stop(self, order: Sequence[str]) -> None:
        """Stop the services in this order, then those that it does not name, the last started first."""
        rest = [name for name in reversed(self._keepers) if name not in order]
        for name in [*order, *rest]:
            if name in self._keepers:
                await self._keepers[name].stop()

    def kill(self) -> None:
        """SIGKILL to all at once, for a person who will not wait. `stop` still has to follow."""
        for keeper in self._keepers.values():
            keeper.kill()
