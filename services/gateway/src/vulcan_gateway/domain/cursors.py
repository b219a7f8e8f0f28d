"""Cursors: opaque to clients, checked when they come back. They hold no secret, so they need no signature."""

import base64
import binascii
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from vulcan_contracts.ids import WORKLOAD_ID
from vulcan_gateway.domain.refusals import Refusal

_MAX_SEQ_DIGITS: Final = 18
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_MICROS: Final = 253_402_300_799_000_000  # the year 9999, as far as datetime goes
_MAX_CHARS: Final = 96


class ListCursor(NamedTuple):
    """The last workload of a page: the next page begins behind it."""

    submitted_at: datetime
    workload_id: str


def encode_list_cursor(cursor: ListCursor) -> str:
    """The cursor as it is sent."""
    micros = (cursor.submitted_at - _EPOCH) // timedelta(microseconds=1)
    return base64.urlsafe_b64encode(f"{micros}.{cursor.workload_id}".encode()).decode().rstrip("=")


def decode_list_cursor(text: str) -> ListCursor:
    """The cursor as it came back.

    Raises:
        Refusal: `invalid_cursor`; it never came from here.
    """
    try:
        if len(text) > _MAX_CHARS:
            raise ValueError("too long")
        raw = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
        micros, _, workload_id = raw.decode("ascii").partition(".")
        if not micros.isdigit() or int(micros) > _MAX_MICROS or not WORKLOAD_ID.fullmatch(workload_id):
            raise ValueError("wrong content")
    except (ValueError, binascii.Error) as error:
        raise _invalid("cursor") from error
    return ListCursor(_EPOCH + timedelta(microseconds=int(micros)), workload_id)


def decode_seq(text: str, *, parameter: str = "after") -> int:
    """A line's or an event's number, as `after` and `Last-Event-ID` carry it.

    Raises:
        Refusal: `invalid_cursor`; it is not a number of at most 18 digits.
    """
    if not text.isascii() or not text.isdigit() or len(text) > _MAX_SEQ_DIGITS:
        raise _invalid(parameter)
    return int(text)


def _invalid(parameter: str) -> Refusal:
    return Refusal("invalid_cursor", f"{parameter} is not a cursor that this call gave out.")
