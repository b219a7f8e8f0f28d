"""Artifacts: the files that a workload declared and left."""

from collections.abc import AsyncGenerator
from typing import Final

from litestar import Response

from vulcan_contracts import subjects
from vulcan_contracts.outcome import Artifact
from vulcan_contracts.views import ArtifactList
from vulcan_contracts.workload import Workload
from vulcan_gateway.domain.headers import attachment, safe_media_type
from vulcan_gateway.domain.refusals import Refusal
from vulcan_gateway.http.calls import Call, Gateway, NoQuery, PathText, answer, find, query
from vulcan_gateway.http.operations import Media, operation
from vulcan_gateway.http.streaming import ByteStream
from vulcan_gateway.parts import Parts

TAG: Final = "artifacts"


@operation(
    "GET",
    "/v1/workloads/{workload_id:str}/artifacts",
    summary="List a workload's artifacts",
    tag=TAG,
    query=NoQuery,
    answers={200: (ArtifactList,)},
    refusals=("invalid_parameter", "not_found", "event_log_unavailable"),
)
async def list_artifacts(request: Call, gateway: Gateway, workload_id: PathText) -> Response[bytes]:
    """What the last attempt left."""
    query(request, NoQuery)
    tracked = await find(gateway, request, workload_id)
    return answer(ArtifactList(items=_left_by(tracked.state)))


@operation(
    "GET",
    "/v1/workloads/{workload_id:str}/artifacts/{name:path}",
    summary="Download an artifact",
    tag=TAG,
    query=NoQuery,
    answers={200: (Media("*/*", {"type": "string", "format": "binary"}, "the file, of the type it has"),)},
    refusals=("invalid_parameter", "not_found", "too_many_requests", "event_log_unavailable"),
)
async def download(request: Call, gateway: Gateway, workload_id: PathText, name: PathText) -> Response[bytes]:
    """One file, to be saved and never shown."""
    query(request, NoQuery)
    tracked = await find(gateway, request, workload_id)
    wanted = name.lstrip("/")
    artifact = next((each for each in _left_by(tracked.state) if each.name == wanted), None)
    if artifact is None:
        raise Refusal("not_found", "The workload left no such artifact.")
    blob = subjects.artifact_blob(request.user.tenant, workload_id, tracked.state.attempt, artifact.name)
    if await gateway.patience.read(lambda: gateway.blobs.info(blob)) is None:
        raise Refusal("not_found", "The artifact is not kept any more.")
    key_id = request.user.key.id
    gateway.streams.take(key_id)
    return ByteStream(
        _content(gateway, blob),
        media_type=safe_media_type(artifact.media_type),
        send_timeout_s=gateway.settings.limits.send_timeout_s,
        headers={
            "Content-Disposition": attachment(artifact.name),
            "Content-Length": str(artifact.size_bytes),
            "ETag": f'"{artifact.sha256}"',
            "Cache-Control": "private, no-cache",
        },
        closed=lambda: gateway.streams.free(key_id),
    )


def _left_by(workload: Workload) -> list[Artifact]:
    """What the last attempt left, once there is no other to come."""
    return workload.outcome.artifacts if workload.ended and workload.outcome is not None else []


async def _content(gateway: Parts, blob: str) -> AsyncGenerator[bytes, None]:
    async for piece in gateway.blobs.open(blob):
        yield piece


HANDLERS: Final = [list_artifacts, download]
