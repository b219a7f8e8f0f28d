"""A service that is just starting outlives a server that goes away at that moment."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from support.nats import NatsServer
from vulcan_contracts import subjects
from vulcan_contracts.queue import ExplainRequest, QueueSnapshot
from vulcan_eventstore import broadcast
from vulcan_eventstore.backoff import at_start
from vulcan_eventstore.connection import Bus
from vulcan_eventstore.dispatch import Claims, receive_hints
from vulcan_eventstore.errors import EventStoreUnavailableError
from vulcan_eventstore.follower import last_event_seq
from vulcan_eventstore.live import live_events, live_logs


async def _answer(_question: ExplainRequest) -> None:
    return


STEPS: dict[str, Callable[[Bus], Awaitable[object]]] = {
    "subscribe": lambda bus: broadcast.subscribe(bus, subjects.QUEUE_SNAPSHOT, QueueSnapshot, lambda _: None),
    "serve": lambda bus: broadcast.serve(bus, subjects.EXPLAIN_REQUEST, ExplainRequest, _answer),
    "events": lambda bus: live_events(bus, lambda _: None, on_gap=lambda: None),
    "lines": lambda bus: live_logs(bus, lambda _: None, on_gap=lambda: None),
    "claims": lambda bus: Claims.open(bus, "node"),
    "hints": lambda bus: receive_hints(bus, "node", lambda _: None),
    "position": lambda bus: at_start(bus, lambda: last_event_seq(bus)),
}


@pytest.mark.parametrize("step", STEPS)
async def test_a_step_of_a_start_waits_for_the_server(step: str, nats_server: NatsServer, bus: Bus) -> None:
    lost = asyncio.Event()
    bus.on_disconnect(lost.set)
    await asyncio.to_thread(nats_server.kill)
    await lost.wait()
    starting = asyncio.ensure_future(STEPS[step](bus))
    await asyncio.sleep(0.1)
    assert not starting.done()
    await asyncio.to_thread(nats_server.start)
    async with asyncio.timeout(10.0):
        await starting


async def test_a_start_does_not_wait_for_ever(nats_server: NatsServer) -> None:
    settings = nats_server.settings
    async with await Bus.connect(type(settings)(url=settings.url, connect_timeout_s=0.5), name="test") as bus:
        await asyncio.to_thread(nats_server.kill)
        with pytest.raises(EventStoreUnavailableError):
            await at_start(bus, lambda: last_event_seq(bus))
