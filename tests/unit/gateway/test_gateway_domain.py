"""What the gateway shows and decides: output, views, nodes, quotas, slots, feeds and the hub."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vulcan_contracts.events import Envelope, Recorded
from vulcan_contracts.logs import LogBatch, LogLine, Stream
from vulcan_contracts.nodes import BackendReport, Capacity, Heartbeat
from vulcan_contracts.outcome import Outcome, RunClock
from vulcan_contracts.queue import QueueSnapshot, TenantLoad
from vulcan_contracts.reasons import Reason
from vulcan_contracts.spec import Backend, ImageSource, InlineSource, Spec
from vulcan_contracts.tenants import ApiKey
from vulcan_contracts.workload import Workload
from vulcan_gateway.domain.nodes import NodeRegistry
from vulcan_gateway.domain.output import OutputCollector
from vulcan_gateway.domain.principal import Principal
from vulcan_gateway.domain.quota import WaitingQuota
from vulcan_gateway.domain.refusals import Refusal
from vulcan_gateway.domain.views import logs_done, workload_view
from vulcan_gateway.live.feed import Feed
from vulcan_gateway.live.heard import LiveEvent, LiveLines
from vulcan_gateway.live.hub import Hub
from vulcan_gateway.slots import Slots

TIME = datetime(2026, 1, 1, tzinfo=UTC)
SPEC = Spec(runtime="javascript", source=InlineSource(code="1"))


def line(seq: int, text: str = "x", stream: Stream = "stdout", *, partial: bool = False) -> LogLine:
    return LogLine(seq=seq, time=TIME, stream=stream, text=text, partial=partial)


def test_output_is_cut_at_whole_characters() -> None:
    collector = OutputCollector(5)
    collector.add([line(1, "ab"), line(2, "üüü"), line(3, "never"), line(4, "e", "stderr"), line(5, "s", "system")])
    output = collector.output()
    assert (output.stdout.text, output.stdout.truncated) == ("ab\nü", True)
    assert (output.stderr.text, output.stderr.truncated) == ("e\n", False)
    assert not collector.full


def test_partial_lines_have_no_line_end() -> None:
    collector = OutputCollector(100)
    collector.add([line(1, "a", partial=True), line(2, "b"), line(3, "c", partial=True)])
    assert collector.output().stdout.text == "ab\nc"


@given(st.lists(st.text(max_size=20), max_size=20), st.integers(0, 60))
def test_output_is_the_beginning(texts: list[str], limit: int) -> None:
    whole = "".join(f"{text}\n" for text in texts)
    collector = OutputCollector(limit)
    collector.add([line(i + 1, text) for i, text in enumerate(texts)])
    found = collector.output().stdout
    assert whole.startswith(found.text)
    assert len(found.text.encode()) <= limit
    assert found.truncated is (found.text != whole)


def workload(**changes: Any) -> Workload:
    base = Workload(
        id="wl_x", tenant="t", spec=SPEC, fingerprint="f", state="pending", version=1, attempt=1, submitted_at=TIME
    )
    return msgspec.structs.replace(base, **changes)


def test_timings() -> None:
    ended = workload(
        state="completed",
        scheduled_at=TIME + timedelta(milliseconds=5),
        started_at=TIME + timedelta(milliseconds=7),
        ended_at=TIME + timedelta(milliseconds=30),
        outcome=Outcome(exit_code=0, clock=RunClock(prepare_ms=2, first_output_ms=3, run_ms=10), last_line=4),
    )
    view = workload_view(ended)
    assert msgspec.to_builtins(view.timings) == {
        "queued_ms": 5.0,
        "dispatched_ms": 2.0,
        "sandbox_ready_ms": 2,
        "first_output_ms": 3,
        "run_ms": 10,
        "total_ms": 30.0,
    }
    assert logs_done(ended).last_line == 4


def test_a_retried_attempt_shows_no_outcome() -> None:
    retried = workload(attempt=2, outcome=Outcome(reason=Reason.TIMED_OUT, message="slow", exit_code=1))
    view = workload_view(retried)
    assert (view.reason, view.message, view.exit_code) == (None, "", None)


def heartbeat(node: str = "a", incarnation: str = "in_1", isolation: Backend = "v8", **changes: Any) -> Heartbeat:
    beat = Heartbeat(
        node=node,
        incarnation=incarnation,
        state="ready",
        time=TIME,
        version="1",
        backend=BackendReport(isolation=isolation, available=True, runtimes=["javascript"]),
        capacity=Capacity(cpus=2, memory_mb=100, slots=4),
        used=Capacity(cpus=1, memory_mb=10, slots=1),
    )
    return msgspec.structs.replace(beat, **changes)


def registry(*beats: Heartbeat) -> NodeRegistry:
    made = NodeRegistry(missed_intervals=10, forget_s=100)
    for beat in beats:
        made.observe(beat, 0.0, TIME)
    return made


def test_a_node_is_lost_and_then_forgotten() -> None:
    nodes = registry(heartbeat())
    assert [n.state for n in nodes.nodes(10.0)] == ["ready"]
    assert nodes.missing(SPEC, 10.0) is None
    assert [n.state for n in nodes.nodes(10.1)] == ["lost"]
    assert "No node" in (nodes.missing(SPEC, 10.1) or "")
    assert nodes.nodes(100.0) == []


def test_a_late_word_of_an_earlier_life_changes_nothing() -> None:
    nodes = registry(heartbeat(incarnation="in_2"), heartbeat(incarnation="in_1", state="stopped"))
    assert [(n.incarnation, n.state) for n in nodes.nodes(0.0)] == [("in_2", "ready")]


def test_what_is_missing() -> None:
    nodes = registry(heartbeat())
    assert nodes.missing(SPEC, 0.0) is None
    assert nodes.missing(msgspec.structs.replace(SPEC, isolation="v8"), 0.0) is None
    assert "gvisor" in (nodes.missing(msgspec.structs.replace(SPEC, isolation="gvisor"), 0.0) or "")
    assert "python" in (nodes.missing(msgspec.structs.replace(SPEC, runtime="python"), 0.0) or "")
    assert "image" in (nodes.missing(Spec(source=ImageSource(image="x")), 0.0) or "")
    broken = BackendReport(isolation="v8", available=False, unavailable_reason="no deno")
    assert "no deno" in (registry(heartbeat(backend=broken)).missing(SPEC, 0.0) or "")
    assert registry(heartbeat(state="stopping")).missing(SPEC, 0.0) is not None
    assert registry(heartbeat(state="draining")).missing(SPEC, 0.0) is None


def test_backends() -> None:
    nodes = registry(heartbeat("a"), heartbeat("b"), heartbeat("c", state="stopped"))
    v8, gvisor, microvm = nodes.backends(0.0, frozenset({"b"}))
    assert (v8.available, v8.nodes, v8.capacity.slots, v8.used.slots) == (True, ["a", "b"], 8, 2)
    assert not gvisor.available
    assert gvisor.unavailable_reason
    assert gvisor.hint
    assert microvm.report is None
    assert [n.draining for n in nodes.nodes(0.0, frozenset({"b"}))] == [False, True, False]


def test_the_quota_counts_what_the_scheduler_has_not_seen() -> None:
    quota = WaitingQuota()
    quota.observe(QueueSnapshot(seq=10, tenants={"t": TenantLoad(waiting=1)}))
    with quota.reserve("t", 3) as place:
        place.accepted(11)
    with quota.reserve("t", 3) as place:
        place.accepted(12)
    with pytest.raises(Refusal), quota.reserve("t", 3):
        pass
    with quota.reserve("other", 3):
        pass
    quota.observe(QueueSnapshot(seq=11, tenants={"t": TenantLoad(waiting=1)}))
    assert quota.waiting("t") == 2
    quota.observe(QueueSnapshot(seq=12, tenants={}))
    assert quota.waiting("t") == 0


def test_the_quota_counts_no_more_what_started_since() -> None:
    quota = WaitingQuota()
    quota.observe(QueueSnapshot(seq=10, tenants={"t": TenantLoad(waiting=2)}))
    quota.started("t", 12)
    quota.started("t", 9)
    assert quota.waiting("t") == 1
    quota.observe(QueueSnapshot(seq=12, tenants={"t": TenantLoad(waiting=1, running=1)}))
    assert quota.waiting("t") == 1
    quota.started("unknown", 13)
    assert quota.waiting("unknown") == 0


def test_a_submit_that_fails_gives_its_place_back() -> None:
    quota = WaitingQuota()

    def fail() -> None:
        with quota.reserve("t", 1):
            raise ConnectionError

    with pytest.raises(ConnectionError):
        fail()
    with quota.reserve("t", 1) as place:
        quota.observe(QueueSnapshot(seq=7, tenants={"t": TenantLoad(waiting=1)}))
        place.accepted(5)
    assert quota.waiting("t") == 1


def test_slots() -> None:
    slots = Slots("things", per_key=2, total=3)
    slots.take("a")
    with slots.held("a"), pytest.raises(Refusal):
        slots.take("a")
    slots.take("b")
    slots.take("c")
    with pytest.raises(Refusal):
        slots.take("d")
    for key in "abc":
        slots.free(key)
    assert slots.taken == 0


def principal(role: Any, tenant: str) -> Principal:
    return Principal(ApiKey(id="k", tenant=tenant, role=role, secret_sha256="", created_at=TIME))


def test_who_manages_what() -> None:
    platform, admin, writer = principal("admin", "default"), principal("admin", "t"), principal("writer", "default")
    assert platform.is_platform_admin
    assert not admin.is_platform_admin
    assert not writer.is_platform_admin
    assert platform.managed_tenant("t") == "t"
    assert admin.managed_tenant(None) == admin.managed_tenant("t") == "t"
    for refused in (lambda: admin.managed_tenant("u"), admin.require_default_tenant, lambda: writer.require("admin")):
        with pytest.raises(Refusal):
            refused()


async def test_a_feed_drops_all_and_says_so() -> None:
    feed: Feed[str] = Feed(3)
    feed.offer("a", 2)
    assert feed.take() == (["a"], False)
    feed.offer("b", 3)
    feed.offer("c", 1)
    feed.offer("d", 1)
    assert feed.take() == (["d"], True)
    assert not await feed.wait(0.0)
    feed.close()
    assert await feed.wait(0.0)
    assert feed.closed


def event(seq: int, workload_id: str = "w", tenant: str = "t") -> Recorded:
    envelope = Envelope(
        id=f"ev_{seq}",
        type="submitted",
        workload_id=workload_id,
        tenant=tenant,
        actor="x",
        time=TIME,
        version=seq,
        attempt=1,
        data=msgspec.Raw(b"{}"),
    )
    return Recorded(seq=seq, envelope=envelope)


def batch(first: int, last: int, tenant: str = "t") -> LogBatch:
    return LogBatch(workload_id="w", tenant=tenant, attempt=1, lines=[line(seq) for seq in range(first, last + 1)])


async def test_the_hub_gives_to_whom_it_concerns() -> None:
    hub = Hub(buffer_bytes=10_000)
    with (
        hub.follow_lines("t", "w") as mine,
        hub.follow_lines("u", "w") as stranger,
        hub.follow_tenant("t") as tenant,
    ):
        hub.hear_event(event(1))
        hub.hear_event(event(2, "other"))
        hub.hear_lines(1, batch(1, 3))
        kinds = [type(item) for item in mine.take().items]
        assert kinds == [LiveEvent, LiveLines]
        assert [item.recorded.seq for item in tenant.take().items if isinstance(item, LiveEvent)] == [1, 2]
        assert stranger.take() == ([], False)
        assert hub.readers == 3
    assert hub.readers == 0


async def test_what_waits_for_a_reader_is_bounded_by_its_size() -> None:
    hub = Hub(buffer_bytes=10_000)
    with hub.follow_lines("t", "w") as feed:
        large = msgspec.structs.replace(line(1), text="x" * 6000)
        hub.hear_lines(1, msgspec.structs.replace(batch(1, 1), lines=[large]))
        assert not feed.take().missed
        for seq in (2, 3):
            hub.hear_lines(seq, msgspec.structs.replace(batch(1, 1), lines=[large]))
        assert feed.take() == ([], True)


async def test_the_hub_notices_gaps() -> None:
    hub = Hub(buffer_bytes=10_000)
    with hub.follow_lines("t", "w") as feed:
        hub.hear_event(event(5))
        hub.hear_event(event(6))
        assert not feed.take().missed
        hub.hear_event(event(8, "other"))
        assert feed.take().missed
        hub.hear_lines(1, batch(1, 1))
        hub.hear_lines(3, batch(3, 3, "other"))
        assert feed.take().missed
        hub.resync()
        assert feed.take().missed
    assert hub.resyncs == 4


async def test_a_closed_hub_ends_its_readers() -> None:
    hub = Hub(buffer_bytes=10_000)
    with hub.follow_tenant("t") as before:
        hub.close()
        with hub.follow_tenant("t") as behind:
            assert before.closed
            assert behind.closed


def test_a_frame_is_made_once_for_all_readers() -> None:
    live = LiveLines(batch(1, 2).lines)
    assert live.frames is live.frames
    assert live.frames.count(b"event: line\n") == 2
    assert live.frames.startswith(b"id: 1\nevent: line\ndata: {")
    assert live.frames.endswith(b"\n\n")
