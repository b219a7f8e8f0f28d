"""How to ask a service over HTTP whether it is ready."""

import httpx

from vulcan_local.service import Probe

_TIMEOUT_S = 2.0


class HttpProbe:
    """Asks `/readyz` of services on this machine, over one client."""

    def __init__(self) -> None:
        self._client = httpx.AsyncClient(timeout=_TIMEOUT_S, trust_env=False)

    def of(self, base_url: str) -> Probe:
        """A probe of the service at this address."""

        async def probe(_pid: int) -> str | None:
            try:
                answer = await self._client.get(f"{base_url}/readyz")
            except httpx.HTTPError as error:
                return str(error) or type(error).__name__
            return None if answer.status_code == httpx.codes.OK else answer.text[:500]

        return probe

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()
