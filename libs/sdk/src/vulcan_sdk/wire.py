"""Requests and answers as plain data, and the steps that the client's logic asks its transport to take.

The logic (retries, deadlines, resuming streams) is written once, as generators that yield steps and receive what
came of them; `transport` has the two small loops, sync and async, that carry the steps out with httpx.
"""

from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Struct

from vulcan_contracts.problem import TYPE_PREFIX, Problem
from vulcan_sdk.errors import ApiError, ProtocolError, SourceError

T = TypeVar("T")

Params = dict[str, str | list[str]]


class Request(Struct, frozen=True, kw_only=True):
    """One HTTP request. `body` makes its chunks anew for each attempt."""

    method: str
    path: str
    params: Params = {}
    headers: dict[str, str] = {}
    body: Callable[[], Iterator[bytes]] | None = None


class Response(Struct, frozen=True, kw_only=True):
    """A whole answer, or the head of a stream of which the body is still to be read."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


class Failure(Struct, frozen=True, kw_only=True):
    """No answer. `sent` False means that the server cannot have seen the request; `untrusted` that it is not to."""

    message: str
    sent: bool
    timed_out: bool = False
    untrusted: bool = False


class Send(Struct, frozen=True):
    """Step: do the request, answer with a Response with its body, or a Failure."""

    request: Request
    timeout_s: float


class Open(Struct, frozen=True):
    """Step: do the request; below status 400 leave the body to be read with Read."""

    request: Request
    timeout_s: float
    idle_timeout_s: float


class Read(Struct, frozen=True):
    """Step: the next chunk of the opened stream: bytes, None at its end, or a Failure."""


class Close(Struct, frozen=True):
    """Step: drop the opened stream, if there is one."""


class Sleep(Struct, frozen=True):
    """Step: let time pass."""

    seconds: float


class Emit(Struct, frozen=True):
    """Step: hand an item to the caller."""

    item: Any


Step = Send | Open | Read | Close | Sleep | Emit
Flow = Generator[Step, Any, T]
"""Logic without input or output: yields steps, receives their results, returns a T."""


class Call(Struct, Generic[T], frozen=True, kw_only=True):
    """One call of the API: what to send, how to read the answer.

    repeatable: sending it twice does no more than once, so it may be retried after a lost connection.
    patience_s: how much longer than the client's usual timeout the server may take on purpose.
    """

    request: Request
    decode: Callable[[Response], T]
    repeatable: bool = True
    patience_s: float = 0.0


def json_body(value: Any) -> tuple[dict[str, str], Callable[[], Iterator[bytes]]]:
    """The headers and body of a JSON request."""
    payload = encoded(value)
    return {"content-type": "application/json", "content-length": str(len(payload))}, lambda: iter((payload,))


def encoded(value: Any) -> bytes:
    """A value as JSON.

    Raises:
        SourceError: it holds text that no UTF-8 can carry, as arguments and variables of a process may.
    """
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError as error:
        raise SourceError(
            f"not UTF-8 text: {error.object!r}", hint="Everything but the archive is sent as text."
        ) from error


def into(expected: type[T]) -> Callable[[Response], T]:
    """A decoder of a JSON answer of this type."""
    decoder = msgspec.json.Decoder(expected)

    def decode(response: Response) -> T:
        try:
            return decoder.decode(response.body)
        except msgspec.DecodeError as error:
            raise ProtocolError(
                f"the answer is not what this client expects: {error}",
                hint="Check that VULCAN_URL points at Vulcan, and that client and server are of the same release.",
            ) from error

    return decode


def nothing(response: Response) -> None:
    """The decoder of an answer that says nothing but its status."""
    del response


def error_of(response: Response) -> ApiError:
    """The error in an answer of status 400 and up, also when a proxy wrote it."""
    try:
        problem = msgspec.json.decode(response.body, type=Problem)
    except msgspec.DecodeError:
        text = response.body[:300].decode("utf-8", "replace").strip()
        problem = Problem(
            type=f"{TYPE_PREFIX}http_{response.status}",
            title=f"HTTP status {response.status}",
            status=response.status,
            code=f"http_{response.status}",
            detail=f"the server answered {response.status}, not as Vulcan does" + (f": {text}" if text else ""),
            hint="Check that VULCAN_URL points at Vulcan; a proxy on the way may have answered instead.",
        )
    return ApiError(problem, retry_after_s=retry_after_s(response))


def retry_after_s(response: Response) -> float | None:
    """The wait in seconds that the server asked for, if it did; the form with a date is not used by Vulcan."""
    value = response.headers.get("retry-after", "")
    return float(value) if value.isascii() and value.isdigit() else None
