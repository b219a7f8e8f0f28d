"""Submitting and watching in one call: the answer is what the workload prints, while it prints it."""

from collections.abc import AsyncGenerator
from contextlib import ExitStack, aclosing
from typing import Final

from vulcan_eventstore.errors import EventStoreUnavailableError
from vulcan_gateway.domain import sse
from vulcan_gateway.domain.filters import ALL_LINES
from vulcan_gateway.http.calls import Call, find
from vulcan_gateway.http.event_streams import event_stream, outlet, take_place
from vulcan_gateway.http.streaming import ByteStream
from vulcan_gateway.http.workloads import brief_view, full_view
from vulcan_gateway.parts import Parts
from vulcan_gateway.submissions import Order

EVENT: Final = "workload"


async def run_and_watch(gateway: Parts, request: Call, order: Order) -> ByteStream:
    """`workload` as accepted, a `line` for each line, `done`, and `workload` as ended.

    The stream has its place, and its reader is registered, before the order is on the log: no order is answered by a
    refusal, and a workload that is new has no past to read.

    Raises:
        Refusal: as submitting, and `too_many_requests`.
    """
    tenant, workload_id = order.principal.tenant, order.workload_id
    with ExitStack() as stack:
        stack.callback(take_place(gateway, request))
        feed = stack.enter_context(gateway.hub.follow_lines(tenant, workload_id, outlet(gateway, request)))
        executed = await gateway.submissions.submit(order)
        accepted = executed.tracked.state
        if executed.event is None:
            lines = gateway.tail.lines(tenant, workload_id, 0, ALL_LINES, outlet(gateway, request))
        else:
            lines = gateway.tail.lines_of_new(tenant, workload_id, feed)

        async def body() -> AsyncGenerator[bytes, None]:
            yield sse.frame(EVENT, brief_view(accepted))
            async with aclosing(lines):
                async for frames in lines:
                    yield frames
            try:
                ended = (await find(gateway, request, workload_id)).state
            except EventStoreUnavailableError:
                return  # `done` has said that it ended
            if ended.ended:
                yield sse.frame(EVENT, await full_view(gateway, ended))

        headers = {"Location": f"/v1/workloads/{workload_id}"}
        return event_stream(gateway, request, body(), headers=headers, closed=stack.pop_all().close)
