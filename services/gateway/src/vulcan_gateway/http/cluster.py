"""Backends and nodes: what works, where, how full."""

from typing import Final

from litestar import Response

from vulcan_contracts.views import BackendList, DrainRequest, NodeList, NodeView
from vulcan_gateway.domain import bodies
from vulcan_gateway.http.calls import JSON, Call, Gateway, NoQuery, PathText, answer, query
from vulcan_gateway.http.intake import read_body, require_media_type
from vulcan_gateway.http.operations import operation

TAG: Final = "cluster"


@operation(
    "GET",
    "/v1/backends",
    summary="What works, and what is missing",
    tag=TAG,
    query=NoQuery,
    answers={200: (BackendList,)},
    refusals=("invalid_parameter",),
)
async def list_backends(request: Call, gateway: Gateway) -> Response[bytes]:
    """Each kind of isolation over all nodes."""
    query(request, NoQuery)
    return answer(BackendList(items=gateway.cluster.backends()))


@operation(
    "GET",
    "/v1/nodes",
    summary="List the executors",
    tag=TAG,
    query=NoQuery,
    answers={200: (NodeList,)},
    refusals=("invalid_parameter",),
)
async def list_nodes(request: Call, gateway: Gateway) -> Response[bytes]:
    """Every node that was heard of lately, lost ones too."""
    query(request, NoQuery)
    return answer(NodeList(items=gateway.cluster.nodes()))


@operation(
    "POST",
    "/v1/nodes/{node:str}/drain",
    summary="Give a node no new work, or again",
    tag=TAG,
    role="admin",
    platform=True,
    query=NoQuery,
    body=DrainRequest,
    body_optional=True,
    answers={200: (NodeView,)},
    refusals=(
        "invalid_parameter",
        "malformed_json",
        "request_timeout",
        "body_too_large",
        "unsupported_media_type",
        "invalid_body",
        "not_found",
        "event_log_unavailable",
    ),
)
async def drain(request: Call, gateway: Gateway, node: PathText) -> Response[bytes]:
    """What runs there goes on to its end. Without a body: drain."""
    query(request, NoQuery)
    body = await read_body(gateway, request)
    wish = DrainRequest()
    if body:
        require_media_type(request, JSON)
        wish = bodies.decode(body, DrainRequest)
    return answer(await gateway.cluster.drain(node, wish))


HANDLERS: Final = [list_backends, list_nodes, drain]
