"""Asking the logstore to rebuild its projections."""

from vulcan_contracts import subjects
from vulcan_contracts.ids import new_request_id
from vulcan_contracts.projections import RebuildAnswer, RebuildRequest, RebuildStatus, RebuildStatusRequest
from vulcan_eventstore import broadcast
from vulcan_eventstore.connection import Bus
from vulcan_eventstore.errors import EventStoreUnavailableError
from vulcan_gateway.domain.refusals import Refusal


class Rebuilds:
    """Talks to whichever logstore answers."""

    def __init__(self, bus: Bus, *, timeout_s: float) -> None:
        self._bus = bus
        self._timeout_s = timeout_s

    async def start(self) -> RebuildStatus:
        """Start one, or find the one that goes on.

        Raises:
            Refusal: `projection_unavailable`.
        """
        return await self._ask(subjects.REBUILD_REQUEST, RebuildRequest(id=new_request_id()))

    async def status(self, rebuild_id: str | None) -> RebuildStatus:
        """How far one is; None is the newest.

        Raises:
            Refusal: `not_found`, `projection_unavailable`.
        """
        return await self._ask(subjects.REBUILD_STATUS, RebuildStatusRequest(id=rebuild_id))

    async def _ask(self, subject: str, question: RebuildRequest | RebuildStatusRequest) -> RebuildStatus:
        try:
            reply = await broadcast.request(self._bus, subject, question, RebuildAnswer, timeout_s=self._timeout_s)
        except EventStoreUnavailableError as error:
            raise Refusal(
                "projection_unavailable", "No log store answers.", hint="Start one.", retry_after_s=2
            ) from error
        if reply.status is not None:
            return reply.status
        if reply.error == "not_found":
            raise Refusal("not_found", reply.message or "There is no such rebuild.")
        raise Refusal(
            "projection_unavailable", reply.message or "The log store cannot reach Postgres.", retry_after_s=2
        )
