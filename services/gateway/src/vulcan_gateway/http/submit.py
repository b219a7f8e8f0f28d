"""Submitting: run and wait, run and return at once, run the same again."""

from typing import Annotated, Final

import msgspec
from litestar import Response
from msgspec import Meta, Struct

from vulcan_contracts.problem import FieldError
from vulcan_contracts.spec import ArchiveSource, Spec
from vulcan_contracts.validation import complete, problems
from vulcan_contracts.views import WorkloadView
from vulcan_contracts.workload import Workload
from vulcan_gateway.archives import check_archive, store_archive
from vulcan_gateway.domain import bodies
from vulcan_gateway.domain.headers import wants_event_stream
from vulcan_gateway.domain.refusals import Refusal
from vulcan_gateway.http.calls import JSON, Call, Gateway, NoQuery, PathText, answer, find, header, headers, query
from vulcan_gateway.http.intake import read_body, require_media_type
from vulcan_gateway.http.operations import messages, operation
from vulcan_gateway.http.run_stream import run_and_watch
from vulcan_gateway.http.streaming import client_gone
from vulcan_gateway.http.upload import receive_upload
from vulcan_gateway.http.workloads import brief_view, full_view
from vulcan_gateway.parts import Parts
from vulcan_gateway.submissions import Order

TAG: Final = "workloads"
MULTIPART: Final = "multipart/form-data"
MAX_WAIT_S: Final = 300
_REFUSALS: Final = (
    "invalid_parameter",
    "invalid_idempotency_key",
    "malformed_json",
    "malformed_multipart",
    "request_timeout",
    "body_too_large",
    "unsupported_media_type",
    "invalid_body",
    "invalid_spec",
    "invalid_archive",
    "idempotency_mismatch",
    "quota_exceeded",
    "too_many_requests",
    "backend_unavailable",
    "event_log_unavailable",
)
_REPLAY_REFUSALS: Final = (
    "invalid_parameter",
    "invalid_idempotency_key",
    "not_found",
    "idempotency_mismatch",
    "quota_exceeded",
    "too_many_requests",
    "backend_unavailable",
    "event_log_unavailable",
)
HEADERS: Final = ("Idempotency-Key",)


class WaitQuery(Struct, frozen=True, kw_only=True):
    """`wait`: for how many seconds at most to wait for the end."""

    wait: Annotated[float, Meta(ge=0, le=MAX_WAIT_S)] = 30.0


class ReplayQuery(Struct, frozen=True, kw_only=True):
    """`wait`: for how many seconds at most to wait for the end; 0 returns at once."""

    wait: Annotated[float, Meta(ge=0, le=MAX_WAIT_S)] = 0.0


@operation(
    "POST",
    "/v1/workloads",
    summary="Run a workload and wait for its end",
    tag=TAG,
    role="writer",
    query=WaitQuery,
    body=Spec,
    multipart=True,
    headers=HEADERS,
    answers={
        200: (
            WorkloadView,
            messages(
                *("workload", "line", "done"),
                description="`workload` as accepted, `line`s, `done`, `workload` as ended",
            ),
        ),
        202: (WorkloadView,),
    },
    refusals=_REFUSALS,
)
async def submit(request: Call, gateway: Gateway) -> Response[bytes]:
    """200 with the result, or 202 if it still goes on after `wait` seconds. It goes on too if the caller leaves.

    With `Accept: text/event-stream` the lines come as they are printed, until the end, however long the `wait`.
    """
    wait_s = query(request, WaitQuery).wait
    if wants_event_stream(header(request, b"accept")):
        return await run_and_watch(gateway, request, await _order(gateway, request))
    with gateway.waits.held(request.user.key.id):
        order = await _order(gateway, request)
        return await _run(gateway, request, order, wait_s)


@operation(
    "POST",
    "/v1/workloads/async",
    summary="Run a workload and return at once",
    tag=TAG,
    role="writer",
    query=NoQuery,
    body=Spec,
    multipart=True,
    headers=HEADERS,
    answers={202: (WorkloadView,)},
    refusals=_REFUSALS,
)
async def submit_async(request: Call, gateway: Gateway) -> Response[bytes]:
    """202 once the workload is on the log, with its place in `Location`."""
    query(request, NoQuery)
    order = await _order(gateway, request)
    executed = await gateway.submissions.submit(order)
    return _accepted(executed.tracked.state)


@operation(
    "POST",
    "/v1/workloads/{workload_id:str}/replay",
    summary="Run the same again",
    tag=TAG,
    role="writer",
    query=ReplayQuery,
    headers=HEADERS,
    answers={200: (WorkloadView,), 202: (WorkloadView,)},
    refusals=_REPLAY_REFUSALS,
)
async def replay(request: Call, gateway: Gateway, workload_id: PathText) -> Response[bytes]:
    """A new workload with the same spec, linked by `replay_of`."""
    wait_s = query(request, ReplayQuery).wait
    tracked = await find(gateway, request, workload_id)
    order = Order.of(request.user, tracked.state.spec, _idempotency_key(request), replay_of=workload_id)
    if wait_s <= 0:
        executed = await gateway.submissions.submit(order)
        return _accepted(executed.tracked.state)
    with gateway.waits.held(request.user.key.id):
        return await _run(gateway, request, order, wait_s)


async def _run(gateway: Parts, request: Call, order: Order, wait_s: float) -> Response[bytes]:
    workload = await gateway.submissions.run(order, wait_s, lambda: client_gone(request.receive))
    if not workload.ended:
        return _accepted(workload)
    return answer(await full_view(gateway, workload), headers=_location(workload))


def _accepted(workload: Workload) -> Response[bytes]:
    return answer(brief_view(workload), 202, _location(workload))


def _location(workload: Workload) -> dict[str, str]:
    return {"Location": f"/v1/workloads/{workload.id}"}


def _idempotency_key(request: Call) -> str | None:
    keys = headers(request, b"idempotency-key")
    if len(keys) > 1:
        raise Refusal("invalid_idempotency_key", "It is given more than once.")
    return keys[0] if keys else None


async def _order(gateway: Parts, request: Call) -> Order:
    """What the body asks for; an archive is stored by now."""
    key = _idempotency_key(request)
    kind = require_media_type(request, JSON, MULTIPART)
    if kind == JSON:
        spec = _spec(await read_body(gateway, request))
        if isinstance(spec.source, ArchiveSource):
            raise _field("source", "an archive is uploaded beside the spec, as multipart/form-data with a part archive")
        return Order.of(request.user, spec, key)
    with gateway.uploads.held(request.user.key.id):
        async with receive_upload(request, gateway.settings.limits) as upload:
            spec = _spec(upload.spec)
            if upload.archive is None:
                if isinstance(spec.source, ArchiveSource):
                    raise _field("archive", "the part is missing; source.type is archive")
                return Order.of(request.user, spec, key)
            if not isinstance(spec.source, ArchiveSource):
                raise _field("source.type", "is not archive, but the part archive is there")
            if spec.source.sha256 not in ("", upload.sha256):
                raise _field("source.sha256", f"is not that of the archive, which has {upload.sha256}")
            order = Order.of(request.user, spec, key)
            is_new = await gateway.submissions.is_new(order)
            info = await check_archive(upload.archive, spec, gateway.settings.limits)
            if is_new:
                await store_archive(gateway.blobs, request.user.tenant, upload.archive, upload.sha256)
            source = msgspec.structs.replace(
                spec.source, sha256=upload.sha256, size_bytes=upload.size_bytes, format=info.format
            )
            return order._replace(spec=msgspec.structs.replace(spec, source=source))


def _spec(body: bytes) -> Spec:
    """A spec that may run.

    Raises:
        Refusal: `malformed_json` or `invalid_spec`.
    """
    spec = complete(bodies.decode(body, Spec, code="invalid_spec"))
    if wrong := problems(spec):
        raise Refusal("invalid_spec", f"{wrong[0].field} {wrong[0].message}.", errors=wrong)
    return spec


def _field(field: str, message: str) -> Refusal:
    return Refusal("invalid_spec", f"{field}: {message}.", errors=[FieldError(field=field, message=message)])


HANDLERS: Final = [submit, submit_async, replay]
