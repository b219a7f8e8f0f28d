"""One call of the API with its retries and its deadline."""

import time
from collections.abc import Callable
from typing import TypeVar

from vulcan_sdk.config import is_loopback
from vulcan_sdk.errors import ApiError, ConnectError, DeadlineError, ProtocolError, VulcanError
from vulcan_sdk.retry import RetryPolicy, worth_retrying
from vulcan_sdk.wire import Call, Failure, Flow, Response, Send, Sleep, error_of

T = TypeVar("T")
Clock = Callable[[], float]


def exchange(
    call: Call[T],
    *,
    base_url: str,
    timeout_s: float,
    policy: RetryPolicy,
    met: bool = False,
    clock: Clock = time.monotonic,
) -> Flow[T]:
    """Send until there is an answer that counts, within `timeout_s` plus the call's own patience.

    A server that was `met` before and is away is waited for, as long as there is time: it is being restarted. One that
    never answered may not exist: then the attempts are counted.

    Raises:
        ApiError: the server refused, for good or for longer than there was time.
        ConnectError: no answer, and no more attempts.
        DeadlineError: the time is up.
    """
    allowed_s = timeout_s + call.patience_s
    deadline = clock() + allowed_s
    failures = 0
    while True:
        reply = yield Send(call.request, max(0.001, deadline - clock()))
        if isinstance(reply, Response) and reply.status < 400:
            refuse_redirect(reply, base_url)
            return call.decode(reply)
        failures += 1
        error, again = _judge(reply, call.repeatable, base_url, allowed_s)
        delay_s = policy.delay_s(failures)
        if isinstance(error, ApiError) and error.retry_after_s is not None:
            delay_s = max(delay_s, error.retry_after_s)
        waited_for = met and not (isinstance(error, ApiError) and error.status == 429)
        out_of_attempts = failures >= policy.max_attempts and not waited_for
        if not again or out_of_attempts or clock() + delay_s >= deadline:
            raise error
        yield Sleep(delay_s)


def _judge(reply: Response | Failure, repeatable: bool, base_url: str, allowed_s: float) -> tuple[VulcanError, bool]:
    """The error that this reply is, and whether to try again."""
    if isinstance(reply, Response):
        refused = error_of(reply)
        return refused, worth_retrying(refused) and (repeatable or refused.status == 429)
    if reply.timed_out:
        return DeadlineError(
            f"no answer from {base_url} within {allowed_s:g} s",
            hint="The server may be busy: try again, or allow more time.",
        ), False
    return unreachable(base_url, reply), not reply.untrusted and (repeatable or not reply.sent)


def unreachable(base_url: str, failure: Failure) -> ConnectError:
    """The error for a server that does not answer, with what to do about it."""
    if failure.untrusted:
        return ConnectError(
            f"the certificate of {base_url} cannot be trusted: {failure.message}",
            hint="Check the address; for a CA of your own set SSL_CERT_FILE to its certificate.",
        )
    if failure.sent:
        return ConnectError(f"lost the connection to Vulcan at {base_url}: {failure.message}")
    if is_loopback(base_url):
        return ConnectError(
            f"Vulcan is not running at {base_url} ({failure.message})",
            hint="Start it with `make run` or `vulcan up`, or set VULCAN_URL to where it is.",
        )
    return ConnectError(
        f"cannot reach Vulcan at {base_url} ({failure.message})",
        hint="Check the address (VULCAN_URL) and the network on the way.",
    )


def refuse_redirect(reply: Response, base_url: str) -> None:
    """A redirect is never followed: it would take the key to another place.

    Raises:
        ProtocolError: the reply is one.
    """
    if 300 <= reply.status < 400:
        where = reply.headers.get("location", "elsewhere")
        raise ProtocolError(
            f"{base_url} redirects to {where}", hint="Set VULCAN_URL to the address it redirects to, if you trust it."
        )
