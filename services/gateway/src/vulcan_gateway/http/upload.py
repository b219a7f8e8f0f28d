"""Multipart submits: a `spec` part with JSON and an `archive` part, parsed as they stream in.

The archive goes to a temporary file, never as a whole into memory, and is hashed on the way.
"""

import asyncio
import hashlib
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, Final, NamedTuple

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from vulcan_contracts.problem import FieldError
from vulcan_gateway.domain.refusals import Refusal
from vulcan_gateway.http.calls import Call, header
from vulcan_gateway.http.intake import chunks, too_large
from vulcan_gateway.settings import LimitSettings

_OVERHEAD_BYTES: Final = 64 * 1024
_PARTS: Final = ("spec", "archive")


class Upload(NamedTuple):
    """What came: the spec's bytes, and the archive in a file that lives as long as the context."""

    spec: bytes
    archive: Path | None
    size_bytes: int
    sha256: str


class _Form:
    """Collects what the parser finds. Archive bytes are queued for the file and written between the parser's turns."""

    def __init__(self, limits: LimitSettings) -> None:
        self._limits = limits
        self._header_name = b""
        self._header_value = b""
        self._disposition = b""
        self._part = ""
        self.seen: set[str] = set()
        self.spec = bytearray()
        self.pending: list[bytes] = []
        self.archive_bytes = 0
        self.ended = False

    def callbacks(self) -> dict[str, Callable[..., None]]:
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._name,
            "on_header_value": self._value,
            "on_header_end": self._header,
            "on_headers_finished": self._headers,
            "on_part_data": self._data,
            "on_end": self._end,
        }

    def _begin(self) -> None:
        self._disposition = b""
        self._header_name = self._header_value = b""

    def _name(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _header(self) -> None:
        if self._header_name.lower() == b"content-disposition":
            self._disposition = self._header_value
        self._header_name = self._header_value = b""

    def _headers(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._part = options.get(b"name", b"").decode("utf-8", "replace")
        if self._part not in _PARTS:
            wrong = FieldError(field=self._part[:100], message=f"unknown part; known here: {', '.join(_PARTS)}")
            raise Refusal("invalid_body", f"Unknown part {self._part[:100]!r}.", errors=[wrong])
        if self._part in self.seen:
            twice = FieldError(field=self._part, message="comes twice")
            raise Refusal("invalid_body", f"The part {self._part} comes twice.", errors=[twice])
        self.seen.add(self._part)

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._part == "spec":
            self.spec += data[start:end]
            if len(self.spec) > self._limits.json_body_bytes:
                raise too_large(self._limits.json_body_bytes)
        else:
            self.archive_bytes += end - start
            if self.archive_bytes > self._limits.archive_bytes:
                raise too_large(self._limits.archive_bytes)
            self.pending.append(data[start:end])

    def _end(self) -> None:
        self.ended = True


@asynccontextmanager
async def receive_upload(request: Call, limits: LimitSettings) -> AsyncIterator[Upload]:
    """Read a multipart body; the archive's file is gone after the block.

    Raises:
        Refusal: it is too large, too slow, or not the form that the call takes.
    """
    boundary = _boundary(request)
    with tempfile.NamedTemporaryFile(prefix="vulcan-upload-", buffering=0) as file:
        try:
            async with asyncio.timeout(limits.body_timeout_s):
                form, digest = await _receive(request, limits, boundary, file)
        except TimeoutError as error:
            raise Refusal("request_timeout", f"It did not arrive within {limits.body_timeout_s:g} s.") from error
        archive = Path(file.name) if "archive" in form.seen else None
        yield Upload(bytes(form.spec), archive, form.archive_bytes, digest)


def _boundary(request: Call) -> bytes:
    _, options = parse_options_header(header(request, b"content-type"))
    boundary = options.get(b"boundary", b"")
    if not boundary or len(boundary) > 200:
        raise Refusal("malformed_multipart", "The Content-Type names no usable boundary.")
    return boundary


async def _receive(request: Call, limits: LimitSettings, boundary: bytes, file: IO[bytes]) -> tuple[_Form, str]:
    form = _Form(limits)
    parser = MultipartParser(boundary, form.callbacks())  # type: ignore[arg-type] # a TypedDict of these names
    digest = hashlib.sha256()
    limit = limits.archive_bytes + limits.json_body_bytes + _OVERHEAD_BYTES
    try:
        async for piece in chunks(request, limit_bytes=limit):
            parser.write(piece)
            if form.pending:
                await asyncio.to_thread(_write, file, digest, form.pending)
                form.pending = []
        parser.finalize()
    except FormParserError as error:
        raise Refusal("malformed_multipart", f"{error}") from error
    if not form.ended:
        raise Refusal("malformed_multipart", "The body ends before its last boundary.")
    if "spec" not in form.seen:
        missing = FieldError(field="spec", message="is required")
        raise Refusal("invalid_body", "The part spec is missing.", errors=[missing])
    return form, digest.hexdigest()


def _write(file: IO[bytes], digest: "hashlib._Hash", pieces: list[bytes]) -> None:
    data = b"".join(pieces)
    digest.update(data)
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
