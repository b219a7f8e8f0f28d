"""Following streams: each item once and in order, whatever breaks."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.http_server import Answer, Chunks, Drop, HttpServer, as_json, problem, sse
from support.views import WORKLOAD, document, done, event, line, workload
from vulcan_sdk import ApiError, AsyncVulcan, ConnectError, LineFilter, ProtocolError, Vulcan

Client = Callable[..., Any]

LOGS = f"/v1/workloads/{WORKLOAD}/logs"


def numbers(client: Client, **options: Any) -> list[int]:
    return [item.seq for item in client("follow_logs", WORKLOAD, **options)]


def positions(server: HttpServer) -> list[str | None]:
    return [asked.headers.get("last-event-id") for asked in server.asked]


def test_lines_until_done(server: HttpServer, client: Client) -> None:
    server.on("GET", LOGS, sse(line(1), line(2), done(2)))
    assert numbers(client) == [1, 2]
    assert server.asked[0].headers["accept"] == "text/event-stream"


def test_a_lost_stream_goes_on_where_it_was(server: HttpServer, client: Client) -> None:
    server.on(
        "GET",
        LOGS,
        sse(line(1), line(2), broken=True),
        Drop(),
        problem(503, "event_log_unavailable"),
        sse(line(3)),
        sse(line(4), done(4)),
    )
    assert numbers(client) == [1, 2, 3, 4]
    assert positions(server) == [None, "2", "2", "2", "3"]


def test_repeats_are_left_out(server: HttpServer, client: Client) -> None:
    server.on("GET", LOGS, sse(line(1), line(2), broken=True), sse(line(1), line(2), line(2), line(3), done(3)))
    assert numbers(client) == [1, 2, 3]


def test_a_hole_is_read_again(server: HttpServer, client: Client) -> None:
    server.on("GET", LOGS, sse(line(1), line(4), done(4)), sse(line(2), line(3), line(4), done(4)))
    assert numbers(client) == [1, 2, 3, 4]
    assert positions(server) == [None, "1"]


def test_an_end_that_promises_more_is_read_again(server: HttpServer, client: Client) -> None:
    server.on("GET", LOGS, sse(line(1), done(3)), sse(line(2), line(3), done(3)))
    assert numbers(client) == [1, 2, 3]


def test_a_hole_that_stays_is_what_retention_took(server: HttpServer, client: Client) -> None:
    server.on("GET", LOGS, sse(line(7), line(8), done(8)), sse(line(7), line(8), done(8)))
    assert numbers(client) == [7, 8]
    assert len(server.asked) == 2


def test_filtered_lines_have_holes(server: HttpServer, client: Client) -> None:
    server.on("GET", LOGS, sse(line(3), line(9), done(12)))
    assert [item.seq for item in client("follow_logs", WORKLOAD, LineFilter(stream="stderr", search="x"))] == [3, 9]
    assert server.asked[0].query == {"stream": ["stderr"], "search": ["x"]}


def test_a_tail_begins_anywhere_and_is_asked_for_once(server: HttpServer, client: Client) -> None:
    server.on("GET", LOGS, sse(line(91), broken=True), sse(line(92), done(92)))
    assert numbers(client, tail=2) == [91, 92]
    assert [asked.query for asked in server.asked] == [{"tail": ["2"]}, {}]


def test_it_begins_after_a_line(server: HttpServer, client: Client) -> None:
    server.on("GET", LOGS, sse(line(6), done(6)))
    assert numbers(client, after=5) == [6]
    assert positions(server) == ["5"]


def test_a_refusal_ends_it(server: HttpServer, client: Client) -> None:
    server.on("GET", LOGS, sse(line(1), broken=True), problem(404, "not_found"))
    with pytest.raises(ApiError, match="not_found"):
        numbers(client)


def test_a_server_that_stays_away_ends_it(server: HttpServer, client: Client) -> None:
    server.on("GET", LOGS, sse(line(1), broken=True), Drop())
    with pytest.raises(ConnectError):
        numbers(client)


def test_a_stream_that_never_opens_ends_soon(server: HttpServer, client: Client) -> None:
    server.on("GET", LOGS, Drop())
    with pytest.raises(ConnectError):
        numbers(client)
    assert len(server.asked) == 4


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, b"<html>", {"content-type": "text/html"}),
        Answer(200, b"event: line\ndata: {nonsense\n\n", {"content-type": "text/event-stream"}),
    ],
)
def test_what_is_no_such_stream(server: HttpServer, client: Client, answer: Answer) -> None:
    server.on("GET", LOGS, answer)
    with pytest.raises(ProtocolError):
        numbers(client)


def test_unknown_messages_are_skipped(server: HttpServer, client: Client) -> None:
    server.on("GET", LOGS, sse(("weather", None, {"sun": True}), line(1), done(1)))
    assert numbers(client) == [1]


def test_events_of_a_workload_end_with_it(server: HttpServer, client: Client) -> None:
    path = f"/v1/workloads/{WORKLOAD}/events"
    server.on(
        "GET",
        path,
        sse(event(3, "submitted"), broken=True),
        sse(event(3, "submitted"), event(8, "completed"), event(9, "deleted"), ("done", None, {})),
    )
    found = client("follow_events", WORKLOAD)
    assert [item.type for item in found] == ["submitted", "completed", "deleted"]


def test_all_events_are_filtered_by_the_server(server: HttpServer, client: Client) -> None:
    server.on("GET", "/v1/events", sse(event(3, "failed"), broken=True), problem(403, "forbidden"))
    with pytest.raises(ApiError):
        client("follow_all_events", after=2, types=["failed", "killed"])
    assert positions(server) == ["2", "3"]
    assert server.asked[0].query == {"type": ["failed", "killed"]}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_breaking_up_gives_every_line_once(data: st.DataObject, server: HttpServer, client: Client) -> None:
    """The server breaks off anywhere, and begins again anywhere at or before the place it is asked for."""

    total = data.draw(st.integers(0, 12))
    cuts = data.draw(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), max_size=6))
    left = iter(cuts)

    def serve(asked: Any) -> Any:
        after = int(asked.headers.get("last-event-id", "0"))
        back, length = next(left, (0, None))
        start = max(0, after - back)
        if length is None:
            return sse(*(line(n) for n in range(start + 1, total + 1)), done(total))
        return sse(*(line(n) for n in range(start + 1, min(total, start + length) + 1)), broken=True)

    server._scripts.clear()
    server.on("GET", LOGS, serve)
    assert numbers(client) == list(range(1, total + 1))


async def _last(items: AsyncIterator[Any]) -> Any:
    last = None
    async for item in items:
        last = item
    return last


async def test_a_follower_can_be_left(server: HttpServer) -> None:
    """Cancelling or closing it in the middle leaves nothing open, and the client goes on."""

    def hold(_: Any) -> Chunks:
        def pieces() -> Iterator[bytes]:
            yield b'event: line\ndata: {"seq": 1, "time": "2026-01-31T12:00:00Z", "stream": "stdout", "text": "a"}\n\n'
            left.wait(60)

        return Chunks(pieces(), {"content-type": "text/event-stream"})

    left = threading.Event()
    server.on("GET", LOGS, hold)
    server.on("GET", f"/v1/workloads/{WORKLOAD}", as_json(document(workload())))
    async with AsyncVulcan(server.url, "vk_test", environ={}) as vulcan:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(_last(vulcan.follow_logs(WORKLOAD)), 0.2)
        async with aclosing(vulcan.follow_logs(WORKLOAD)) as lines:
            async for line_ in lines:
                assert line_.text == "a"
                break
        assert (await vulcan.get(WORKLOAD)).state == "completed"
    left.set()


def test_a_blocking_follower_can_be_left(server: HttpServer) -> None:
    server.on("GET", LOGS, sse(line(1), line(2), done(2)))
    server.on("GET", f"/v1/workloads/{WORKLOAD}", as_json(document(workload())))
    with Vulcan(server.url, "vk_test", environ={}) as vulcan:
        for line_ in vulcan.follow_logs(WORKLOAD):
            assert line_.seq == 1
            break
        assert vulcan.get(WORKLOAD).state == "completed"


async def test_many_at_once(server: HttpServer) -> None:
    server.on("GET", f"/v1/workloads/{WORKLOAD}", as_json(document(workload())))
    async with AsyncVulcan(server.url, "vk_test", environ={}) as vulcan:
        found = await asyncio.gather(*(vulcan.get(WORKLOAD) for _ in range(50)))
    assert {view.state for view in found} == {"completed"}
