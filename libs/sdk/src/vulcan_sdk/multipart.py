"""A multipart/form-data body that streams: the spec as JSON, then the archive chunk by chunk."""

import secrets
from collections.abc import Callable, Iterator

from vulcan_sdk.archive import Archive


def multipart(spec: bytes, archive: Archive) -> tuple[dict[str, str], Callable[[], Iterator[bytes]]]:
    """The headers, and a maker of the body, of a submit with an archive."""
    boundary = f"vulcan-{secrets.token_hex(16)}"
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="spec"\r\nContent-Type: application/json\r\n\r\n'
    ).encode()
    between = (
        f'\r\n--{boundary}\r\nContent-Disposition: form-data; name="archive"; filename="{archive.file_name}"\r\n'
        f"Content-Type: {archive.media_type}\r\n\r\n"
    ).encode()
    tail = f"\r\n--{boundary}--\r\n".encode()

    def body() -> Iterator[bytes]:
        yield head + spec + between
        yield from archive.chunks()
        yield tail

    return {"content-type": f"multipart/form-data; boundary={boundary}"}, body
