"""Commands with sensible defaults, for tests that drive workloads through the log."""

from vulcan_contracts.clock import utc_now
from vulcan_contracts.commands import End, Schedule, Start, Submit
from vulcan_contracts.outcome import Outcome
from vulcan_contracts.spec import InlineSource, Spec

TENANT = "acme"
NODE = "node-1"
INCARNATION = "in_1"


def submit(fingerprint: str = "f", code: str = "1") -> Submit:
    return Submit(spec=Spec(runtime="javascript", source=InlineSource(code=code)), fingerprint=fingerprint)


def schedule(node: str = NODE, incarnation: str = INCARNATION) -> Schedule:
    return Schedule(isolation="v8", isolation_reason="it fits", node=node, incarnation=incarnation)


def start(node: str = NODE, incarnation: str = INCARNATION, attempt: int = 1) -> Start:
    return Start(node=node, incarnation=incarnation, attempt=attempt)


def end(node: str = NODE, incarnation: str = INCARNATION, attempt: int = 1, outcome: Outcome | None = None) -> End:
    return End(node=node, incarnation=incarnation, attempt=attempt, outcome=outcome or Outcome(), at=utc_now())
