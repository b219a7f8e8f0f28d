"""What a reader wants of log lines and of lists."""

from datetime import datetime
from typing import Annotated, Final, Literal, NamedTuple

from msgspec import Meta, Struct

from vulcan_contracts.logs import LogLine, Stream
from vulcan_contracts.problem import FieldError
from vulcan_contracts.reasons import Reason
from vulcan_contracts.spec import Isolation, Runtime
from vulcan_contracts.workload import State
from vulcan_gateway.domain.refusals import Refusal

SearchText = Annotated[str, Meta(min_length=1, max_length=256, pattern=r"^[^\x00]*$")]
Moment = Annotated[datetime, Meta(tz=True)]
CursorText = Annotated[str, Meta(max_length=128)]
# Documented as what it is, but checked where a wrong one is answered with `invalid_cursor`.
SeqText = Annotated[str, Meta(max_length=128, extra_json_schema={"pattern": "^[0-9]{1,18}$"})]
LabelText = Annotated[
    str,
    Meta(
        max_length=4096,
        extra_json_schema={"pattern": r"^[^=,\x00][^,\x00]{0,399}(,[^=,\x00][^,\x00]{0,399}){0,31}$"},
    ),
]


class LineFilter(NamedTuple):
    """Which lines are wanted; None means any. `search` is a plain text that the line holds, in the same case."""

    stream: Stream | None = None
    search: str | None = None
    since: datetime | None = None

    @property
    def everything(self) -> bool:
        """True if every line is wanted."""
        return self == ALL_LINES

    def wants(self, line: LogLine) -> bool:
        """True if this line is wanted."""
        return (
            (self.stream is None or line.stream == self.stream)
            and (self.search is None or self.search in line.text)
            and (self.since is None or line.time >= self.since)
        )


ALL_LINES: Final = LineFilter()


class LabelFilter(NamedTuple):
    """A label that has to be there, with this value if one is given."""

    name: str
    value: str | None


def label_filters(given: list[str]) -> list[LabelFilter]:
    """Read `name=value` and `name`, several of them separated by commas or given several times.

    Raises:
        Refusal: `invalid_parameter`; one has no name.
    """
    found = []
    for text in (part for entry in given for part in entry.split(",")):
        name, equals, value = text.partition("=")
        if not name or len(text) > 400 or "\x00" in text:
            raise _wrong_label("write name=value or name, separated by commas")
        found.append(LabelFilter(name, value if equals else None))
    if len(found) > 32:
        raise _wrong_label("at most 32 at once")
    return found


def _wrong_label(message: str) -> Refusal:
    return Refusal("invalid_parameter", f"label: {message}.", errors=[FieldError(field="label", message=message)])


class ListQuery(Struct, frozen=True, kw_only=True):
    """Which workloads to list. `isolation` is what was asked for, `backend` what it became; `text` is looked for in
    ids, labels and messages."""

    state: list[State] = []
    reason: list[Reason] = []
    isolation: Isolation | None = None
    backend: Literal["v8", "gvisor", "microvm"] | None = None
    runtime: Runtime | None = None
    label: Annotated[list[LabelText], Meta(max_length=32)] = []
    text: SearchText | None = None
    submitted_after: Moment | None = None
    submitted_before: Moment | None = None
    limit: Annotated[int, Meta(ge=1, le=500)] = 50
    cursor: CursorText | None = None
