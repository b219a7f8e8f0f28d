"""Log lines: a page, a download, or a stream that follows."""

from collections.abc import AsyncGenerator
from typing import Annotated, Final, Literal

from litestar import Response
from msgspec import Meta, Struct

from vulcan_contracts.logs import Stream
from vulcan_contracts.views import LogPage
from vulcan_gateway.domain.filters import LineFilter, Moment, SearchText, SeqText
from vulcan_gateway.domain.headers import attachment, wants_event_stream
from vulcan_gateway.history import LinePage
from vulcan_gateway.http.calls import Call, Gateway, PathText, answer, find, header, query
from vulcan_gateway.http.event_streams import event_stream, last_event_id, outlet
from vulcan_gateway.http.operations import Media, messages, operation
from vulcan_gateway.http.streaming import ByteStream
from vulcan_gateway.parts import Parts

DOWNLOAD_PAGE_LINES: Final = 2000


class LogQuery(Struct, frozen=True, kw_only=True):
    """`after`: the line to go on behind. `search`: a text that the line holds, in the same case. `tail`: begin with
    the last so many lines. `download` 1: all of it as plain text."""

    after: SeqText | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    stream: Stream | None = None
    search: SearchText | None = None
    since: Moment | None = None
    tail: Annotated[int, Meta(ge=0, le=1_000_000)] | None = None
    download: Literal[0, 1] = 0


@operation(
    "GET",
    "/v1/workloads/{workload_id:str}/logs",
    summary="Read or follow a workload's log",
    tag="logs",
    query=LogQuery,
    headers=("Last-Event-ID",),
    answers={
        200: (
            LogPage,
            messages("line", "done", description="`line` for each line, `id:` is its number; `done` at the end"),
            Media("text/plain", {"type": "string"}, "with download=1"),
        )
    },
    refusals=("invalid_parameter", "invalid_cursor", "not_found", "too_many_requests", "event_log_unavailable"),
)
async def read_logs(request: Call, gateway: Gateway, workload_id: PathText) -> Response[bytes]:
    """A JSON page; with `Accept: text/event-stream` past and live lines until the workload ends; or a download."""
    wanted = query(request, LogQuery)
    after = last_event_id(request, wanted.after)
    tracked = await find(gateway, request, workload_id)
    tenant = request.user.tenant
    only = LineFilter(wanted.stream, wanted.search, wanted.since)
    position = after or 0
    if wanted.tail is not None:
        newest = await gateway.patience.read(lambda: gateway.history.last_line(tenant, workload_id))
        position = max(position, newest - wanted.tail)
    if wanted.download:
        return _download(gateway, request, workload_id, position, only)
    if wants_event_stream(header(request, b"accept")):
        lines = gateway.tail.lines(tenant, workload_id, position, only, outlet(gateway, request))
        return event_stream(gateway, request, lines)
    page = await gateway.patience.read(
        lambda: gateway.history.page(tenant, workload_id, after=position, limit=wanted.limit, only=only)
    )
    over = tracked.state.ended and not page.more
    return answer(LogPage(items=page.lines, next_cursor=None if over else str(page.position), has_more=page.more))


def _download(gateway: Parts, request: Call, workload_id: str, after: int, only: LineFilter) -> ByteStream:
    key_id = request.user.key.id
    gateway.streams.take(key_id)
    return ByteStream(
        _text(gateway, request.user.tenant, workload_id, after, only),
        media_type="text/plain; charset=utf-8",
        send_timeout_s=gateway.settings.limits.send_timeout_s,
        headers={"Content-Disposition": attachment(f"{workload_id}.log"), "Cache-Control": "no-store"},
        closed=lambda: gateway.streams.free(key_id),
    )


async def _text(
    gateway: Parts, tenant: str, workload_id: str, after: int, only: LineFilter
) -> AsyncGenerator[bytes, None]:
    position, more = after, True

    async def next_page() -> LinePage:
        return await gateway.history.page(tenant, workload_id, after=position, limit=DOWNLOAD_PAGE_LINES, only=only)

    while more:
        page = await gateway.patience.read(next_page)
        position, more = page.position, page.more
        text = "".join(line.text if line.partial else line.text + "\n" for line in page.lines)
        if text:
            yield text.encode()


HANDLERS: Final = [read_logs]
