"""What the platform adds to a run (submitted to ended, less the time in the sandbox), in JetStream publishes."""

import asyncio
import time

import httpx

from bench.harness import Figure, Options, compare, interleave
from bench.v8_latency import REST_S
from support.stack import Stack
from vulcan_eventstore.connection import Bus, NatsSettings
from vulcan_eventstore.jetstream import call, publish

_STREAM = "BENCH"
_BODY = {"runtime": "javascript", "source": {"type": "inline", "code": "console.log(1)"}}


def figures(options: Options) -> list[Figure]:
    """The median of both arms."""
    with Stack.start(options.folder / "data") as stack, asyncio.Runner() as runner:
        settings = NatsSettings(url=(stack.data / "nats" / "url").read_text().strip())
        bus = runner.run(Bus.connect(settings, name="bench"))
        runner.run(call(bus, f"STREAM.CREATE.{_STREAM}", {"name": _STREAM, "subjects": ["bench"], "storage": "file"}))
        try:
            with httpx.Client(base_url=stack.url, headers={"Authorization": f"Bearer {stack.key}"}) as client:
                taken = interleave(
                    lambda: _added(client),
                    lambda: runner.run(_publish(bus)),
                    samples=options.samples,
                    warm_up=5,
                    rest_s=REST_S,
                )
        finally:
            runner.run(call(bus, f"STREAM.DELETE.{_STREAM}"))
            runner.run(bus.close())
    what = "added by the platform, against one synced JetStream publish"
    return [compare(taken, identity="overhead-p50", what=what, unit="ms", goal=6.0, better="lower", quantile=50)]


def _added(client: httpx.Client) -> float:
    timings = client.post("/v1/workloads", json=_BODY).json()["timings"]
    added: float = timings["total_ms"] - timings["run_ms"]
    return added


async def _publish(bus: Bus) -> float:
    started = time.perf_counter()
    await publish(bus, "bench", b"x" * 200)
    return (time.perf_counter() - started) * 1000
