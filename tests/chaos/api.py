"""The platform's API as a patient client uses it: what fails is repeated, and what may not fail is written down."""

import asyncio
import time
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any, Final

import httpx

PATIENCE_S: Final = 90.0
"""For how long one call is repeated: longer than everything takes to come back."""
_PAUSE_S: Final = 0.2
_TIMEOUT: Final = httpx.Timeout(30.0, connect=5.0)
_MAY_PASS: Final = {503: ("event_log_unavailable", "projection_unavailable", "backend_unavailable")}
"""The refusals that a killed process explains; anything else is a fault of the platform."""


class GaveUpError(Exception):
    """A call did not succeed however often it was repeated."""


class Api:
    """Calls under one key. `faults` has what the platform should not have answered, by how often it did."""

    def __init__(self, url: str, key: str) -> None:
        self.http = httpx.AsyncClient(
            base_url=url,
            headers={"Authorization": f"Bearer {key}"},
            timeout=_TIMEOUT,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=32),
            trust_env=False,
        )
        self.faults: Counter[str] = Counter()
        self.failures = 0

    async def close(self) -> None:
        """Close the connections."""
        await self.http.aclose()

    async def call(
        self,
        method: str,
        path: str,
        *,
        wanted: Collection[int] = (200,),
        json: Any = None,
        params: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
        patience_s: float = PATIENCE_S,
    ) -> httpx.Response:
        """Repeat the call until it is answered as wanted.

        Raises:
            GaveUpError: it never was.
        """
        deadline = time.monotonic() + patience_s
        while True:
            try:
                answer = await self.http.request(method, path, json=json, params=params, headers=headers)
                if answer.status_code in wanted:
                    return answer
                what = self.refused(answer, f"{method} {_kind(path)}")
            except httpx.TransportError as error:
                what = repr(error)
            self.failures += 1
            if time.monotonic() > deadline:
                raise GaveUpError(f"{method} {path}: no good answer in {patience_s:g} s, at last {what}")
            await asyncio.sleep(_PAUSE_S)

    def refused(self, answer: httpx.Response, call: str) -> str:
        """Judge an answer that was not wanted; its body has been read."""
        what = f"{call}: {answer.status_code} {answer.text[:300]}"
        try:
            code = answer.json().get("code")
        except ValueError:
            code = None
        if code not in _MAY_PASS.get(answer.status_code, ()):
            self.faults[what] += 1
        elif "Retry-After" not in answer.headers:
            self.faults[f"{call}: {answer.status_code} {code} without Retry-After"] += 1
        return what


def _kind(path: str) -> str:
    """The path without what makes each call another."""
    return "/".join("{id}" if part.startswith("wl_") else part for part in path.split("/"))
