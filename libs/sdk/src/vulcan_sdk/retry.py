"""When to try again, and after how long."""

import random
from typing import Final

from msgspec import Struct

from vulcan_sdk.errors import ApiError

_RETRIED_STATUS: Final = frozenset({429, 502, 503, 504})
_FINAL_CODES: Final = frozenset({"backend_unavailable"})
"""Answers with a retried status that waiting a second does not change."""


class RetryPolicy(Struct, frozen=True, kw_only=True):
    """How often, and how patiently.

    max_attempts: of one call, the first included; once the server has answered this client, one that is away is waited
    for as long as the call's time allows. Waits double from first_delay_s up to max_delay_s, with jitter.
    reconnect_s: how long a followed stream that was lost tries to come back.
    """

    max_attempts: int = 5
    first_delay_s: float = 0.2
    max_delay_s: float = 5.0
    reconnect_s: float = 60.0

    def delay_s(self, failures: int) -> float:
        """The wait after this many failures in a row (1, 2, ...)."""
        longest = min(self.max_delay_s, self.first_delay_s * 2.0 ** min(failures - 1, 30))
        return longest * random.uniform(0.5, 1.0)  # noqa: S311 - spreads clients, keeps no secret


def worth_retrying(error: ApiError) -> bool:
    """True if the same request may well succeed a little later."""
    return error.status in _RETRIED_STATUS and error.problem.code not in _FINAL_CODES
