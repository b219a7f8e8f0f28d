"""Stored messages that are not what their subject promises."""

from prometheus_client import REGISTRY

from vulcan_contracts.clock import utc_now
from vulcan_contracts.logs import LogBatch, LogLine, encode_batch
from vulcan_eventstore.records import recorded, stored_batch


def _skipped(stream: str) -> float:
    return REGISTRY.get_sample_value("vulcan_eventstore_undecodable_total", {"stream": stream}) or 0.0


def test_what_is_no_event_is_skipped_and_counted() -> None:
    before = _skipped("EVENTS")
    for payload in (b"", b"{}", b"\xff", b'{"id": 3}'):
        assert recorded(7, "evt.x", payload) is None
    assert _skipped("EVENTS") == before + 4


def test_what_is_no_batch_is_skipped_and_counted() -> None:
    before = _skipped("LOGS")
    assert stored_batch(7, "log.x.y", b"\xc1") is None
    assert _skipped("LOGS") == before + 1


def test_the_live_copy_tells_what_came_before() -> None:
    line = LogLine(seq=1, time=utc_now(), stream="stdout", text="x")
    payload = encode_batch(LogBatch(workload_id="wl_a", tenant="acme", attempt=1, lines=[line]))
    told = stored_batch(7, "live.log.acme.wl_a", payload, {"Nats-Last-Sequence": "5"})
    assert told is not None
    assert (told.seq, told.previous_seq) == (7, 5)
    plain = stored_batch(7, "log.acme.wl_a", payload)
    assert plain is not None
    assert plain.previous_seq == 0
