"""Answering why a workload waits."""

from vulcan_contracts import subjects
from vulcan_contracts.queue import ExplainRequest, Explanation
from vulcan_eventstore import broadcast
from vulcan_eventstore.connection import Bus, Subscription
from vulcan_scheduler.desk import Desk


async def serve_explanations(bus: Bus, desk: Desk) -> Subscription:
    """Answer until the returned subscription is closed. Only the scheduler that decides should."""

    async def answer(question: ExplainRequest) -> Explanation:
        found = desk.explainer.explain(question.tenant, question.workload_id, desk.now())
        return found or Explanation(pending_reason="About to be queued, or ended a moment ago.")

    return await broadcast.serve(bus, subjects.EXPLAIN_REQUEST, ExplainRequest, answer)
