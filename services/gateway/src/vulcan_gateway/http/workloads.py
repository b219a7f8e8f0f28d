"""Workloads: list, get, kill, delete."""

from typing import Final

from litestar import Response

from vulcan_chassis.tracing import trace_id
from vulcan_contracts.commands import Delete, RequestKill
from vulcan_contracts.queue import Explanation
from vulcan_contracts.views import WorkloadPage, WorkloadView
from vulcan_contracts.workload import Workload
from vulcan_gateway.db.workloads import list_workloads
from vulcan_gateway.domain.filters import ListQuery
from vulcan_gateway.domain.output import NO_OUTPUT
from vulcan_gateway.domain.views import Known, last_line, workload_view
from vulcan_gateway.http.calls import Call, Gateway, NoQuery, PathText, answer, find, nothing, query
from vulcan_gateway.http.operations import operation
from vulcan_gateway.parts import Parts

TAG: Final = "workloads"


async def full_view(gateway: Parts, workload: Workload) -> WorkloadView:
    """The workload with what it printed and, while it waits, why."""
    output = NO_OUTPUT
    if workload.state != "pending" or workload.attempt > 1:
        output = await gateway.patience.read(
            lambda: gateway.history.output(
                workload.tenant,
                workload.id,
                last_line=last_line(workload),
                limit_bytes=gateway.settings.limits.output_bytes,
            )
        )
    explanation: Explanation | None = None
    if workload.state == "pending":
        explanation = await gateway.cluster.explain(workload.tenant, workload.id)
    return workload_view(workload, Known(output, explanation, trace_id(workload.traceparent)))


def brief_view(workload: Workload) -> WorkloadView:
    """The workload without anything that has to be asked for."""
    return workload_view(workload, Known(trace_id=trace_id(workload.traceparent)))


@operation(
    "GET",
    "/v1/workloads",
    summary="List workloads, newest first",
    tag=TAG,
    query=ListQuery,
    answers={200: (WorkloadPage,)},
    refusals=("invalid_parameter", "invalid_cursor", "projection_unavailable"),
)
async def list_all(request: Call, gateway: Gateway) -> Response[bytes]:
    """Workloads of the caller's tenant that were not deleted, as far as they are projected."""
    return answer(await list_workloads(gateway.database, request.user.tenant, query(request, ListQuery)))


@operation(
    "GET",
    "/v1/workloads/{workload_id:str}",
    summary="Get a workload",
    tag=TAG,
    query=NoQuery,
    answers={200: (WorkloadView,)},
    refusals=("invalid_parameter", "not_found", "event_log_unavailable"),
)
async def get_one(request: Call, gateway: Gateway, workload_id: PathText) -> Response[bytes]:
    """One workload as the log has it now: whoever wrote before, reads it here."""
    query(request, NoQuery)
    tracked = await find(gateway, request, workload_id)
    return answer(await full_view(gateway, tracked.state))


@operation(
    "POST",
    "/v1/workloads/{workload_id:str}/kill",
    summary="Kill a workload",
    tag=TAG,
    role="writer",
    query=NoQuery,
    answers={200: (WorkloadView,), 202: (WorkloadView,)},
    refusals=("invalid_parameter", "not_found", "event_log_unavailable"),
)
async def kill(request: Call, gateway: Gateway, workload_id: PathText) -> Response[bytes]:
    """200 if it has ended, 202 if it will. A repeat, also after the end, changes nothing."""
    query(request, NoQuery)
    tracked = await find(gateway, request, workload_id)
    executed = await gateway.log.execute(
        request.user.tenant,
        workload_id,
        RequestKill(),
        actor=request.user.actor,
        known=tracked,
        deadline_s=gateway.settings.append_timeout_s,
    )
    workload = executed.tracked.state
    return answer(brief_view(workload), 200 if workload.ended else 202)


@operation(
    "DELETE",
    "/v1/workloads/{workload_id:str}",
    summary="Delete a workload",
    tag=TAG,
    role="writer",
    query=NoQuery,
    answers={204: (None,)},
    refusals=("invalid_parameter", "not_found", "event_log_unavailable"),
)
async def delete(request: Call, gateway: Gateway, workload_id: PathText) -> Response[bytes]:
    """Killed if it has not ended, and hidden from lists. Its history stays in the log."""
    query(request, NoQuery)
    tracked = await find(gateway, request, workload_id)
    for command in (RequestKill(), Delete()):
        executed = await gateway.log.execute(
            request.user.tenant,
            workload_id,
            command,
            actor=request.user.actor,
            known=tracked,
            deadline_s=gateway.settings.append_timeout_s,
        )
        tracked = executed.tracked
    return nothing()


HANDLERS: Final = [list_all, get_one, kill, delete]
