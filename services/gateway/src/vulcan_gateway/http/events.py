"""Events: of one workload, and of all of a tenant's."""

from typing import Annotated, Final, Literal, get_args

from litestar import Response
from msgspec import Meta, Struct

from vulcan_contracts.views import EventPage
from vulcan_gateway.domain.filters import SeqText
from vulcan_gateway.domain.headers import wants_event_stream
from vulcan_gateway.domain.views import event_view
from vulcan_gateway.http.calls import Call, Gateway, PathText, answer, find, header, query
from vulcan_gateway.http.event_streams import event_stream, last_event_id
from vulcan_gateway.http.operations import messages, operation
from vulcan_gateway.live.tail import wanted_events

TAG: Final = "events"
EventType = Literal[
    "submitted", "scheduled", "started", "retrying", "kill_requested", "completed", "failed", "killed", "deleted"
]
_TYPES: Final = get_args(EventType)


class WorkloadEventsQuery(Struct, frozen=True, kw_only=True):
    """`after`: the event to go on behind, by its `seq`."""

    after: SeqText | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100


class EventsQuery(Struct, frozen=True, kw_only=True):
    """`after`: the event to go on behind, by its `seq`. `type`: only these; may be given several times."""

    after: SeqText | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    type: list[EventType] = []


@operation(
    "GET",
    "/v1/workloads/{workload_id:str}/events",
    summary="Read or follow a workload's history",
    tag=TAG,
    query=WorkloadEventsQuery,
    headers=("Last-Event-ID",),
    answers={
        200: (
            EventPage,
            messages(*_TYPES, "done", description="an event by its type, `id:` is its `seq`; `done` at the end"),
        )
    },
    refusals=("invalid_parameter", "invalid_cursor", "not_found", "too_many_requests", "event_log_unavailable"),
)
async def workload_events(request: Call, gateway: Gateway, workload_id: PathText) -> Response[bytes]:
    """Everything that ever happened to the workload, oldest first."""
    wanted = query(request, WorkloadEventsQuery)
    after = last_event_id(request, wanted.after) or 0
    await find(gateway, request, workload_id)
    tenant = request.user.tenant
    if wants_event_stream(header(request, b"accept")):
        return event_stream(gateway, request, gateway.tail.workload_events(tenant, workload_id, after))
    history = await gateway.patience.read(lambda: gateway.log.history(tenant, workload_id))
    events = [event for event in history if event.seq > after]
    items = [event_view(event) for event in events[: wanted.limit]]
    more = len(events) > wanted.limit
    return answer(EventPage(items=items, next_cursor=str(items[-1].seq) if more else None, has_more=more))


@operation(
    "GET",
    "/v1/events",
    summary="Read or follow all events",
    tag=TAG,
    query=EventsQuery,
    headers=("Last-Event-ID",),
    answers={200: (EventPage, messages(*_TYPES, description="an event by its type, `id:` is its `seq`"))},
    refusals=("invalid_parameter", "invalid_cursor", "too_many_requests", "event_log_unavailable"),
)
async def tenant_events(request: Call, gateway: Gateway) -> Response[bytes]:
    """Events of the caller's tenant: a page from the first on, or, as a stream, from `after` or from now on."""
    wanted = query(request, EventsQuery)
    tenant, types = request.user.tenant, frozenset[str](wanted.type)
    after = last_event_id(request, wanted.after)
    if wants_event_stream(header(request, b"accept")):
        return event_stream(gateway, request, gateway.tail.tenant_events(tenant, after, types))
    subject = wanted_events(tenant, types)
    page = await gateway.patience.read(lambda: gateway.events.read(subject, after_seq=after or 0, limit=wanted.limit))
    items = [event_view(event) for event in page.events if not types or event.envelope.type in types]
    cursor = str(page.position) if page.more else None
    return answer(EventPage(items=items, next_cursor=cursor, has_more=page.more))


HANDLERS: Final = [workload_events, tenant_events]
