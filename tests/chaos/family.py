"""What belongs to a stack while it runs, so that it can be looked for when it does not."""

import asyncio
import os
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

import httpx

from chaos import processes
from chaos.processes import Process
from chaos.verify_leftovers import Traces
from support.stack import Stack

_LOOK_S: Final = 1.0
_DATABASE: Final = "VULCAN_DATABASE_URL"
_V8_RUN: Final = Path("/run/vulcan-v8")


class Family:
    """The processes of a stack, seen again and again; what lives shorter than between two looks leaves no trace."""

    def __init__(self, stack: Stack, temp: Path) -> None:
        self._stack = stack
        self._temp = temp
        self._supervisor = stack.supervisor_pid
        self._seen: set[Process] = set()
        self.database = processes.environment(stack.pid("gateway"))[_DATABASE]
        """Where the services find Postgres."""
        headers = {"Authorization": f"Bearer {stack.key}"}
        nodes = httpx.get(f"{stack.url}/v1/nodes", headers=headers, timeout=10.0, trust_env=False).json()["items"]
        self._nodes = frozenset(node["node"] for node in nodes)

    async def watch(self) -> None:
        """Look until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(_LOOK_S)

    def look(self) -> None:
        """Look once."""
        self._seen |= processes.descendants(self._supervisor)

    @property
    def traces(self) -> Traces:
        """By what to know what it leaves."""
        runtime = {_V8_RUN / name for name in self._nodes if os.geteuid() == 0}
        socket = Path(parse_qs(urlsplit(self.database).query)["host"][0])
        if self._stack.data not in socket.parents:
            runtime.add(socket.parent)
        return Traces(frozenset(self._seen), self._stack.data, self._temp, frozenset(runtime), self._nodes)
