"""What the sync and the async transport share: how a request, an answer and a failure look to httpx."""

import ssl
from importlib.metadata import version
from typing import Any, Final

import httpx

from vulcan_sdk.config import Config
from vulcan_sdk.errors import ConfigError, ProtocolError
from vulcan_sdk.wire import Failure, Request, Response

CONNECT_TIMEOUT_S: Final = 5.0
MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024
_NOT_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


def client_options(config: Config) -> dict[str, Any]:
    """The arguments of httpx.Client and httpx.AsyncClient. No proxy of the environment stands before this machine.

    Certificates are checked against the system's store, or SSL_CERT_FILE; for plain HTTP none is loaded, which is slow.
    """
    headers = {"user-agent": f"vulcan-sdk/{version('vulcan-sdk')}"}
    if config.api_key is not None:
        headers["authorization"] = f"Bearer {config.api_key}"
    return {
        "base_url": config.url,
        "headers": headers,
        "trust_env": not config.local,
        "follow_redirects": False,
        "verify": ssl.create_default_context() if config.url.startswith("https:") else False,
    }


def request_options(request: Request, timeout_s: float, read_timeout_s: float) -> dict[str, Any]:
    """The arguments of httpx's build_request, but for the content.

    Raises:
        ConfigError: a header or path cannot be sent.
    """
    for name, value in request.headers.items():
        if not value.isascii() or not value.isprintable():
            raise ConfigError(f"{name} holds characters that a header cannot carry")
    return {
        "method": request.method,
        "url": request.path,
        "params": request.params or None,
        "headers": request.headers,
        "timeout": httpx.Timeout(timeout_s, connect=min(timeout_s, CONNECT_TIMEOUT_S), read=read_timeout_s),
    }


def answer(response: httpx.Response, body: bytes = b"") -> Response:
    """An httpx answer as plain data."""
    return Response(status=response.status_code, headers=response.headers, body=body)


def collect(body: bytearray, chunk: bytes) -> None:
    """Add to a body that is bounded.

    Raises:
        ProtocolError: it is larger than any answer of Vulcan.
    """
    body += chunk
    if len(body) > MAX_ANSWER_BYTES:
        raise ProtocolError(f"the answer is larger than {MAX_ANSWER_BYTES} bytes")


def failure(error: httpx.TransportError) -> Failure:
    """An httpx error as plain data."""
    text = str(error) or type(error).__name__
    if isinstance(error, _NOT_SENT):
        return Failure(message=text, sent=False, untrusted="CERTIFICATE_VERIFY_FAILED" in text)
    return Failure(message=text, sent=True, timed_out=isinstance(error, httpx.TimeoutException))


TOO_SLOW: Final = Failure(message="the answer took too long", sent=True, timed_out=True)
