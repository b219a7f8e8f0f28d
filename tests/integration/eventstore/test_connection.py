"""The connection: says clearly what is wrong, comes back by itself, and lets nobody wait in vain."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import uvloop

from support.nats import NatsServer, free_port
from vulcan_eventstore import jetstream
from vulcan_eventstore.connection import Bus, NatsSettings
from vulcan_eventstore.errors import BusClosedError, EventStoreUnavailableError, IncompatibleServerError
from vulcan_eventstore.streams import StreamSettings, ensure_streams


async def test_nobody_there_is_said_without_the_password() -> None:
    settings = NatsSettings(url=f"nats://me:hunter2@127.0.0.1:{free_port()}", connect_timeout_s=1.0)
    with pytest.raises(EventStoreUnavailableError) as refusal:
        await Bus.connect(settings, name="test")
    assert "Connect call failed" in str(refusal.value)
    assert "hunter2" not in str(refusal.value)


async def test_waits_for_a_server_that_is_still_starting(tmp_path: Path) -> None:
    server = NatsServer(tmp_path)
    connecting = asyncio.create_task(Bus.connect(server.settings, name="early"))
    await asyncio.sleep(0.3)
    try:
        await asyncio.to_thread(server.start)
        bus = await connecting
        assert bus.connected
        await bus.close()
    finally:
        server.stop()


async def test_a_server_that_takes_too_little_is_refused(tmp_path: Path) -> None:
    with NatsServer(tmp_path, max_payload=65536) as server, pytest.raises(IncompatibleServerError, match="max_payload"):
        await Bus.connect(server.settings, name="test")


async def test_a_server_that_is_too_old_is_refused() -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"server_id":"x","version":"2.9.10","max_payload":1048576,"headers":true}\r\n')
        while line := await reader.readline():
            if line.startswith(b"PING"):
                writer.write(b"PONG\r\n")
        writer.close()

    # No server of that age is at hand; this one only greets like one, which is all that is looked at.
    greeter = await asyncio.start_server(greet, "127.0.0.1", 0)
    port = greeter.sockets[0].getsockname()[1]
    with pytest.raises(IncompatibleServerError, match=r"2\.9\.10 is too old"):
        await Bus.connect(NatsSettings(url=f"nats://127.0.0.1:{port}"), name="test")
    greeter.close()


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_sending_fails_before_it_is_known_that_the_connection_is_lost(
    nats_server: NatsServer, new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    async def lose() -> None:
        async with await Bus.connect(nats_server.settings, name="test") as bus:
            await bus.settle()
            lost = asyncio.Event()
            bus.on_disconnect(lost.set)
            bus._transport.abort()
            assert bus.connected
            with pytest.raises(EventStoreUnavailableError):
                await bus.publish("a.subject", b"")
            await lost.wait()
            await bus.wait_connected(5.0)
            await bus.settle()

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(lose())


async def test_a_request_under_way_fails_when_the_connection_breaks(nats_server: NatsServer, bus: Bus) -> None:
    async def silent(_message: object) -> None:
        return

    await bus.subscribe("silence", silent)
    asking = asyncio.create_task(bus.request("silence", b"", timeout_s=60.0))
    await asyncio.sleep(0.05)
    await asyncio.to_thread(nats_server.kill)
    async with asyncio.timeout(10.0):
        with pytest.raises(EventStoreUnavailableError):
            await asking
    with pytest.raises(EventStoreUnavailableError, match="away"):
        await bus.publish("x", b"")
    await asyncio.to_thread(nats_server.start)
    await bus.wait_connected(10.0)
    await bus.settle()


async def test_callbacks_around_a_lost_connection(nats_server: NatsServer, bus: Bus) -> None:
    told: list[str] = []

    def fail() -> None:
        told.append("failed")
        raise ValueError("a callback that fails")

    bus.on_disconnect(fail)
    bus.on_disconnect(lambda: told.append("lost"))
    remove = bus.on_reconnect(lambda: told.append("never"))
    bus.on_reconnect(lambda: told.append("back"))
    remove()
    await nats_server.bounce()
    await bus.wait_connected(10.0)
    assert told == ["failed", "lost", "back"]


async def test_a_black_hole_is_noticed(nats_server: NatsServer) -> None:
    settings = msgspec.structs.replace(nats_server.settings, ping_interval_s=0.2, request_timeout_s=0.2)
    async with await Bus.connect(settings, name="test") as bus:
        lost = asyncio.Event()
        bus.on_disconnect(lost.set)
        with nats_server.frozen():
            with pytest.raises(EventStoreUnavailableError):
                await bus.settle()
            async with asyncio.timeout(10.0):
                await lost.wait()
        await bus.wait_connected(10.0)
        await bus.settle(5.0)


async def test_a_black_hole_with_full_buffers_is_left(nats_server: NatsServer) -> None:
    settings = msgspec.structs.replace(nats_server.settings, ping_interval_s=1.5)
    async with await Bus.connect(settings, name="test") as bus:
        lost = asyncio.Event()
        bus.on_disconnect(lost.set)

        async def flood() -> None:
            while True:
                await bus.publish("flood", b"x" * 100_000)

        with nats_server.frozen():
            flooding = asyncio.create_task(flood())
            await asyncio.sleep(0.3)
            flooding.cancel()  # it waits for room in the buffers; nobody has to wait with it
            async with asyncio.timeout(20.0):
                with pytest.raises(asyncio.CancelledError):
                    await flooding
                assert not lost.is_set()
                await lost.wait()
        await bus.wait_connected(10.0)
        await bus.settle()


async def test_sending_into_full_buffers_has_a_deadline(nats_server: NatsServer) -> None:
    settings = msgspec.structs.replace(nats_server.settings, ping_interval_s=60.0, request_timeout_s=0.3)
    async with await Bus.connect(settings, name="test") as bus:

        async def flood() -> None:
            while True:
                await bus.publish("flood", b"x" * 100_000)

        with nats_server.frozen():
            async with asyncio.timeout(20.0):
                with pytest.raises(EventStoreUnavailableError, match="takes no more"):
                    await flood()
        await bus.settle(10.0)


async def test_closing_towards_a_black_hole(nats_server: NatsServer) -> None:
    settings = msgspec.structs.replace(nats_server.settings, request_timeout_s=1.0)
    bus = await Bus.connect(settings, name="test")
    with nats_server.frozen():
        flooding = asyncio.gather(*(bus.publish("flood", b"x" * 1_000_000) for _ in range(10)), return_exceptions=True)
        await asyncio.sleep(0.1)
        async with asyncio.timeout(10.0):
            await bus.close()
        await flooding


async def test_closing_ends_everything_that_waits(bus: Bus) -> None:
    async def silent(_message: object) -> None:
        return

    subscription = await bus.subscribe("silence", silent)
    asking = asyncio.create_task(bus.request("silence", b"", timeout_s=60.0))
    watching = asyncio.create_task(bus.wait_closed())
    await asyncio.sleep(0.05)
    await bus.close()
    await bus.close()
    with pytest.raises(BusClosedError):
        await asking
    await watching
    await subscription.close()
    assert bus.closed
    assert not bus.connected
    with pytest.raises(BusClosedError):
        await bus.wait_connected(1.0)
    with pytest.raises(BusClosedError):
        await bus.subscribe("x", silent)


async def test_several_starters_make_the_same_streams(nats_server: NatsServer) -> None:
    buses = [await Bus.connect(nats_server.settings, name=f"starter {n}") for n in range(4)]
    await asyncio.gather(*(ensure_streams(bus, StreamSettings()) for bus in buses))
    await ensure_streams(buses[0], StreamSettings(log_max_age_days=3.0))
    config = await jetstream.call(buses[1], "STREAM.INFO.LOGS")
    assert b'"max_age":259200000000000' in config
    names = await jetstream.call(buses[2], "STREAM.NAMES")
    assert b'"total":9' in names
    for bus in buses:
        await bus.close()


async def test_what_an_operator_added_to_a_stream_stays(bus: Bus) -> None:
    info = msgspec.json.decode(await jetstream.call(bus, "STREAM.INFO.LOGS"))
    await jetstream.call(bus, "STREAM.UPDATE.LOGS", {**info["config"], "description": "watched", "max_msgs": 10**12})
    await ensure_streams(bus, StreamSettings(log_max_age_days=5.0))
    config = msgspec.json.decode(await jetstream.call(bus, "STREAM.INFO.LOGS"))["config"]
    assert config["description"] == "watched"
    assert config["max_age"] == 5 * 86_400 * 10**9
